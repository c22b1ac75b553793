// What the tests of the Node.js client share: clients of the server under test, plain
// requests to it, and a record of the datagrams that clients get and send.
'use strict';

const dgram = require('dgram');
const zlib = require('zlib');

const server = process.env.MUSTER_SERVER; // host:port

// datagrams holds what all clients of this process got and sent: way, and the packet.
const datagrams = [];

// The client loads dgram after this, and gets sockets that are looked at.
const createSocket = dgram.createSocket;
dgram.createSocket = (...args) => {
  const socket = createSocket(...args);
  socket.on('message', b => {
    const text = (b[0] === 0x1f && b[1] === 0x8b ? zlib.gunzipSync(b) : b).toString();
    datagrams.push({ way: 'got', at: Date.now(), text, packet: JSON.parse(text) });
  });
  const send = socket.send.bind(socket);
  socket.send = (text, ...rest) => {
    datagrams.push({ way: 'sent', at: Date.now(), text: String(text), packet: JSON.parse(text) });
    return send(text, ...rest);
  };
  return socket;
};

const { NacosNamingClient, DataClient } = require('nacos');

const quiet = () => {};

// namingClient starts a client of a namespace, which ends with the test. What it
// complains of goes to complain.
async function namingClient(t, namespace, complain = console.error) {
  const client = new NacosNamingClient({ logger: { info: quiet, debug: quiet, warn: complain, error: complain }, serverList: server, namespace });
  client.on('error', complain);
  t.after(() => client.close());
  await client.ready();
  return client;
}

// configClient starts a client of the configuration centre. It is the one that
// NacosConfigClient shares between processes of one host, over a fixed port.
function configClient(t, cacheDir) {
  const client = new DataClient({ serverAddr: server, cacheDir });
  client.on('error', err => console.error(err));
  t.after(() => client.close());
  return client;
}

// call sends a request to the server and returns its answer.
async function call(method, path, parameters) {
  const answer = await fetch(`http://${server}/nacos${path}?${new URLSearchParams(parameters)}`, { method });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path} ${JSON.stringify(parameters)}: ${answer.status} ${text}`);
  return text;
}

// crash has the server killed, all it knew removed, and waits until it runs again.
const crash = () => fetch(process.env.MUSTER_CRASH);

// listed returns what the server lists of a service, as ip:port.
async function listed(namespaceId, serviceName) {
  const answer = JSON.parse(await call('GET', '/v1/ns/instance/list', { namespaceId, serviceName }));
  return endpoints(answer.hosts);
}

const endpoints = hosts => hosts.map(h => `${h.ip}:${h.port}`).sort();

// within resolves once ok returns a true value, and with it, or rejects.
async function within(ms, what, ok) {
  const deadline = Date.now() + ms;
  for (;;) {
    const value = await ok();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

module.exports = { datagrams, namingClient, configClient, call, crash, listed, endpoints, within };
