// Version 1 in Go, written plainly, with gin and gorilla. In memory.
//
// Any goroutine may broadcast, but gorilla allows one writer for a connection at a time.
// Therefore each connection has a mutex.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"
)

type client struct {
	mu   sync.Mutex
	conn *websocket.Conn
}

type hub struct {
	mu      sync.RWMutex
	clients map[int32]map[*client]bool
}

type userStatusBroadcast struct {
	Type   string `json:"type"`
	UserID int32  `json:"userId"`
}

func (h *hub) register(id int32, c *client) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.clients[id] == nil {
		h.clients[id] = map[*client]bool{}
	}
	h.clients[id][c] = true
	return len(h.clients[id]) == 1
}

func (h *hub) unregister(id int32, c *client) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.clients[id], c)
	if len(h.clients[id]) > 0 {
		return false
	}
	delete(h.clients, id)
	return true
}

func (h *hub) broadcast(message []byte, excludeUserID int32) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for id, connections := range h.clients {
		if id == excludeUserID {
			continue
		}
		for c := range connections {
			c.mu.Lock()
			err := c.conn.WriteMessage(websocket.TextMessage, message)
			c.mu.Unlock()
			if err != nil {
				log.Println(err)
			}
		}
	}
}

func userIDOf(token string, secret []byte) (int32, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return 0, fmt.Errorf("malformed token")
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(parts[0] + "." + parts[1]))
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !hmac.Equal(signature, mac.Sum(nil)) {
		return 0, fmt.Errorf("wrong signature")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return 0, err
	}
	var claims struct {
		Sub string `json:"sub"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return 0, err
	}
	id, err := strconv.ParseInt(claims.Sub, 10, 32)
	return int32(id), err
}

func main() {
	gin.SetMode(gin.ReleaseMode)
	secret := []byte(os.Getenv("JWT_SECRET"))
	h := &hub{clients: map[int32]map[*client]bool{}}
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	router := gin.New()

	router.GET("/users/online", func(c *gin.Context) {
		type info struct {
			ID       int32  `json:"id"`
			Username string `json:"username"`
		}
		h.mu.RLock()
		infos := make([]info, 0, len(h.clients))
		for id := range h.clients {
			infos = append(infos, info{id, fmt.Sprintf("user%d", id)})
		}
		h.mu.RUnlock()
		sort.Slice(infos, func(i, j int) bool { return infos[i].ID < infos[j].ID })
		c.JSON(http.StatusOK, gin.H{"online_users": infos})
	})

	router.GET("/ws", func(c *gin.Context) {
		userID, err := userIDOf(c.Query("token"), secret)
		if err != nil {
			c.Status(http.StatusUnauthorized)
			return
		}
		conn, err := upgrader.Upgrade(c.Writer, c.Request, nil)
		if err != nil {
			return
		}
		self := &client{conn: conn}
		if h.register(userID, self) {
			message, _ := json.Marshal(userStatusBroadcast{"user_online", userID})
			h.broadcast(message, userID)
		}
		defer func() {
			conn.Close()
			if h.unregister(userID, self) {
				message, _ := json.Marshal(userStatusBroadcast{"user_offline", userID})
				h.broadcast(message, 0)
			}
		}()
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				return
			}
		}
	})

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %d\n", listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(listener, router))
}
