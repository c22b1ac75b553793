'use strict';

// Here the server that clients know is the agent of their host.

const assert = require('node:assert');
const { test } = require('node:test');
const { cache, configClient, namingClient, call, listed, endpoints, down, up, within } = require('./world');

const prompt = 3000;
// The agent has clients list every 3 s; the first beat of this client comes after 10 s.
const poll = 12000;
const group = 'DEFAULT_GROUP';
const complain = () => {}; // of the server that is down

test('a client of an agent does not notice that the server is away', async t => {
  const client = await namingClient(t, 'public', complain);
  assert.strictEqual(await client.getServerStatus(), 'UP');
  const one = { ip: '192.0.2.1', port: 80, weight: 2, metadata: { name: 'größe & +1;' } };
  await client.registerInstance('pay', one);
  assert.deepStrictEqual(await listed('public', 'pay'), ['192.0.2.1:80']);
  let known = [];
  client.subscribe('pay', hosts => { known = endpoints(hosts); });
  await within(prompt, 'the subscriber knows what is there', () => known.length === 1);

  const configs = await configClient(t, { cacheDir: cache(t), requestTimeout: 2000 }, complain);
  assert.strictEqual(await configs.publishSingle('kept.yaml', group, 'a: 1'), true);
  assert.strictEqual(await configs.getConfig('kept.yaml', group), 'a: 1');
  assert.strictEqual(await configs.publishSingle('other.yaml', group, 'b: 1'), true);
  assert.strictEqual(await configs.getConfig('other.yaml', group), 'b: 1');
  const told = [];
  configs.subscribe({ dataId: 'kept.yaml', group }, text => told.push(text));
  configs.subscribe({ dataId: 'other.yaml', group }, text => told.push(text));
  await within(prompt, 'the subscriber knows both', () => told.length === 2);

  await down();
  await client.registerInstance('pay', { ip: '192.0.2.2', port: 80 });
  assert.strictEqual(await configs.getConfig('kept.yaml', group), 'a: 1');
  assert.strictEqual(JSON.parse(await call('PUT', '/v1/ns/instance/beat', { serviceName: 'pay', ip: '192.0.2.2', port: 80 })).code, 10200);
  await up();
  await within(poll, 'the subscriber knows both instances', () => known.join() === '192.0.2.1:80,192.0.2.2:80');

  await client.deregisterInstance('pay', one);
  await within(poll, 'the subscriber knows that one is gone', () => known.join() === '192.0.2.2:80');
  await configs.publishSingle('kept.yaml', group, 'a: 2');
  await within(poll, 'the subscriber knows the next content', () => told.at(-1) === 'a: 2');
  await configs.publishSingle('other.yaml', group, 'b: 2');
  await within(poll, 'the subscriber knows the next content of the other', () => told.at(-1) === 'b: 2');
});
