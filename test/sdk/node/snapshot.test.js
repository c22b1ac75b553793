'use strict';

const assert = require('node:assert');
const { test } = require('node:test');
const { cache, configClient, dataClient, down, up, within } = require('./world');

const dataId = 'app.properties';
const group = 'DEFAULT_GROUP';

test('a client reads its snapshot while the server is down, and follows on', async t => {
  const complain = () => {}; // of the server that is down
  const options = { cacheDir: cache(t), requestTimeout: 500 };
  const client = await configClient(t, options, complain);
  await client.publishSingle(dataId, group, 'a=1');
  let known;
  client.subscribe({ dataId, group }, text => { known = text; });
  await within(3000, 'the subscriber knows what is there', () => known === 'a=1');

  await down();
  assert.strictEqual(await client.getConfig(dataId, group), 'a=1');
  const again = dataClient(t, options, complain); // as an application that is started now
  assert.strictEqual(await again.getConfig(dataId, group), 'a=1');
  await assert.rejects(again.getConfig('never-read', group));
  await assert.rejects(client.publishSingle(dataId, group, 'a=lost'));

  await up();
  assert.strictEqual(await client.getConfig(dataId, group), 'a=1');
  // A poll that met a server that was not ready is tried again after 2 s.
  for (const [next, ms] of [['a=2', 8000], ['a=3', 3000]]) {
    await client.publishSingle(dataId, group, next);
    await within(ms, `the subscriber knows ${next}`, () => known === next);
  }
  assert.strictEqual(await client.getConfig(dataId, group), 'a=3');
});
