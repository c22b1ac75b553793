// What the tests of the Node.js client share: clients of the server under test, plain
// requests to it, and a record of the datagrams that clients get and send.
'use strict';

const dgram = require('dgram');
const fs = require('fs');
const os = require('os');
const path = require('path');
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

const { NacosNamingClient, NacosConfigClient, DataClient } = require('nacos');

const quiet = () => {};

// namingClient starts a client of a namespace, which ends with the test. What it
// complains of goes to complain.
async function namingClient(t, namespace, complain = console.error, options = {}) {
  const logger = { info: quiet, debug: quiet, warn: complain, error: complain };
  const client = new NacosNamingClient({ logger, serverList: server, namespace, ...options });
  client.on('error', complain);
  t.after(() => client.close());
  await client.ready();
  return client;
}

// configClient starts a client of the configuration centre, which ends with the test.
// All of one process are one, the first.
async function configClient(t, options, complain = console.error) {
  const client = new NacosConfigClient({ serverAddr: server, ...options });
  client.on('error', complain);
  t.after(() => client.close());
  await client.ready();
  return client;
}

// dataClient starts what a configClient shares.
function dataClient(t, options, complain = console.error) {
  const client = new DataClient({ serverAddr: server, ...options });
  client.on('error', complain);
  t.after(() => client.close());
  return client;
}

// cache makes a folder for what a client keeps.
function cache(t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'muster-node-'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

// call sends a request to the server and returns its answer.
async function call(method, path, parameters, headers) {
  const answer = await fetch(`http://${server}/nacos${path}?${new URLSearchParams(parameters)}`, { method, headers });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path} ${JSON.stringify(parameters)}: ${answer.status} ${text}`);
  return text;
}

const order = what => fetch(`${process.env.MUSTER_ORDERS}/${what}`);

// crash has the server killed, all it knew removed, and waits until it runs again.
const crash = () => order('crash');

// down has the server killed; up waits until it runs again.
const down = () => order('down');
const up = () => order('up');

// rotate has the keys of logins changed, and waits until the new one signs.
const rotate = () => order('rotate');

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

module.exports = { datagrams, namingClient, configClient, dataClient, cache, call, crash, down, up, rotate, listed, endpoints, within };
