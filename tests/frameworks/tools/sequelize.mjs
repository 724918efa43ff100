// node sequelize.mjs sync | add NAME... | read ID | save JSON
import { DataTypes, Sequelize } from "sequelize";

const sequelize = new Sequelize(process.env.DATABASE_URL, { logging: false });
const User = sequelize.define("User", {
  name: { type: DataTypes.STRING, allowNull: false },
  status: {
    type: DataTypes.STRING,
    allowNull: false,
    defaultValue: "offline",
  },
});

const [command, ...args] = process.argv.slice(2);
if (command === "sync") await sequelize.sync({ alter: true });
if (command === "add") await User.bulkCreate(args.map((name) => ({ name })));
if (command === "read") {
  console.log(JSON.stringify(await User.findByPk(args[0])));
}
if (command === "save") await User.upsert(JSON.parse(args[0]));
await sequelize.close();
