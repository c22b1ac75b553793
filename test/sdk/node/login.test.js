'use strict';

// Here callers have to log in: this client gives name and password in every call.

const assert = require('node:assert');
const { test } = require('node:test');
const { cache, configClient, namingClient, endpoints, down, up, rotate, within } = require('./world');

const group = 'DEFAULT_GROUP';
const quiet = () => {};
const poll = 12000; // lists are 10 s apart
const prompt = 3000;
const options = { username: process.env.MUSTER_USER, password: process.env.MUSTER_PASSWORD };

test('a client with a password does all that others do, after another key and a restart too', async t => {
  const stranger = await namingClient(t, 'public', quiet);
  await assert.rejects(stranger.registerInstance('pay', { ip: '192.0.2.9', port: 80 }));
  const wrong = await namingClient(t, 'public', quiet, { ...options, password: 'wrong' });
  await assert.rejects(wrong.registerInstance('pay', { ip: '192.0.2.9', port: 80 }));

  const client = await namingClient(t, 'public', quiet, options); // of the server that is down
  const configs = await configClient(t, { cacheDir: cache(t), requestTimeout: 2000, ...options }, quiet);
  await client.registerInstance('pay', { ip: '192.0.2.1', port: 80 });
  let known = [];
  client.subscribe('pay', hosts => { known = endpoints(hosts); });
  await within(prompt, 'the subscriber knows what is there', () => known.join() === '192.0.2.1:80');
  assert.strictEqual(await configs.publishSingle('app.yaml', group, 'a: 1'), true);
  const told = [];
  configs.subscribe({ dataId: 'app.yaml', group }, text => told.push(text));
  await within(prompt, 'the subscriber knows the document', () => told.at(-1) === 'a: 1');

  await rotate();
  await configs.publishSingle('app.yaml', group, 'a: 2');
  await within(prompt, 'the subscriber knows the next content', () => told.at(-1) === 'a: 2');
  await client.registerInstance('pay', { ip: '192.0.2.2', port: 80 });
  await within(poll, 'the subscriber knows both', () => known.join() === '192.0.2.1:80,192.0.2.2:80');

  await down();
  await up();
  await client.registerInstance('pay', { ip: '192.0.2.3', port: 80 });
  await within(poll, 'the subscriber knows all three', () => known.join() === '192.0.2.1:80,192.0.2.2:80,192.0.2.3:80');
  await configs.publishSingle('app.yaml', group, 'a: 3');
  await within(poll, 'the subscriber knows the last content', () => told.at(-1) === 'a: 3');
  assert.strictEqual(await configs.getConfig('app.yaml', group), 'a: 3');
});
