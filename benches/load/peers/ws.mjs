// The peer "ws": rooms by path, every binary message goes to the whole room, its sender included.
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { WebSocketServer } from "ws";

const [port, cert, key] = process.argv.slice(2);
const server = createServer({ cert: readFileSync(cert), key: readFileSync(key), minVersion: "TLSv1.3" });
const rooms = new Map();
new WebSocketServer({ server, perMessageDeflate: false }).on("connection", (socket, request) => {
  const room = rooms.get(request.url) ?? new Set();
  rooms.set(request.url, room.add(socket));
  socket.on("message", (data) => {
    for (const member of room) member.send(data, { binary: true });
  });
  socket.on("close", () => room.delete(socket));
});
server.listen(Number(port), "127.0.0.1");
