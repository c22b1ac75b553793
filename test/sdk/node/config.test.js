'use strict';

const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { configClient, call, within } = require('./world');

test('a document is published, read, followed and removed', async t => {
  const cache = fs.mkdtempSync(path.join(os.tmpdir(), 'muster-node-'));
  t.after(() => fs.rmSync(cache, { recursive: true, force: true }));
  const client = configClient(t, cache);
  const content = 'a=1\nname=配置中心 & größe;+%zz\n';
  assert.strictEqual(await client.publishSingle('app.properties', 'DEFAULT_GROUP', content), true);
  assert.strictEqual(await client.getConfig('app.properties', 'DEFAULT_GROUP'), content);
  assert.strictEqual(await call('GET', '/v1/cs/configs', { dataId: 'app.properties', group: 'DEFAULT_GROUP' }), content);

  let known;
  client.subscribe({ dataId: 'app.properties', group: 'DEFAULT_GROUP' }, text => { known = text; });
  await within(3000, 'the subscriber knows what is there', () => known === content);
  // The long poll of the client must be under way.
  for (const next of ['a=2\n', 'a=3 配置\n']) {
    await client.publishSingle('app.properties', 'DEFAULT_GROUP', next);
    await within(5000, `the subscriber knows ${next}`, () => known === next);
  }
  assert.strictEqual(await client.remove('app.properties', 'DEFAULT_GROUP'), true);
  await assert.rejects(call('GET', '/v1/cs/configs', { dataId: 'app.properties', group: 'DEFAULT_GROUP' }), /404/);
});
