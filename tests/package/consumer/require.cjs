// A CommonJS module, as npm init makes one, on Node 22.
const { connect } = require("@rollcall/client");

const [, , url, token] = process.argv;
const rollcall = connect(url, { token });
rollcall.on("state", (users) => {
  console.log(`${users.size} online`);
  rollcall.close();
});
