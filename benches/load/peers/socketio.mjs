// The peer Socket.IO: its own rooms, binary events, WebSocket only.
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { Server } from "socket.io";

const [port, cert, key] = process.argv.slice(2);
const server = createServer({ cert: readFileSync(cert), key: readFileSync(key), minVersion: "TLSv1.3" });
const io = new Server(server, { transports: ["websocket"], perMessageDeflate: false });
io.on("connection", (socket) => {
  let room;
  socket.on("join", (name, joined) => {
    room = name;
    socket.join(name);
    joined();
  });
  socket.on("m", (payload) => io.to(room).emit("m", payload));
});
server.listen(Number(port), "127.0.0.1");
