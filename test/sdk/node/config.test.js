'use strict';

const assert = require('node:assert');
const { createHash } = require('node:crypto');
const { test } = require('node:test');
const { cache, configClient, dataClient, call, within } = require('./world');

const group = 'DEFAULT_GROUP';
// A long poll is answered by then.
const prompt = 3000;

// follow publishes, reads, follows and removes a document of a namespace.
async function follow(client, dataId, tenant) {
  const read = () => call('GET', '/v1/cs/configs', { dataId, group, tenant });
  const content = 'a=1\nname=配置中心 & größe;+%zz\n';
  assert.strictEqual(await client.publishSingle(dataId, group, content, { type: 'properties' }), true);
  assert.strictEqual(await client.getConfig(dataId, group), content);
  assert.strictEqual(await read(), content);
  const { type } = JSON.parse(await call('GET', '/v1/cs/configs', { show: 'all', dataId, group, tenant }));
  assert.strictEqual(type, 'properties');

  const told = [];
  client.subscribe({ dataId, group }, text => told.push(text));
  await within(prompt, 'the subscriber knows what is there', () => told.at(-1) === content);
  for (const next of ['a=2\n', 'a=3 配置\n', content]) {
    await client.publishSingle(dataId, group, next);
    await within(prompt, `the subscriber knows ${next}`, () => told.at(-1) === next);
  }
  assert.strictEqual(await client.remove(dataId, group), true);
  await within(prompt, 'the subscriber knows that it is gone', () => told.at(-1) === null);
  assert.strictEqual(await client.getConfig(dataId, group), null);
  await assert.rejects(read(), /404/);
  assert.deepStrictEqual(told, [content, 'a=2\n', 'a=3 配置\n', content, null]);
}

test('a document is published, read, followed and removed', async t => {
  await follow(await configClient(t, { cacheDir: cache(t) }), 'app.properties', '');
});

test('a document of a namespace is published, read, followed and removed', async t => {
  await follow(dataClient(t, { cacheDir: cache(t), namespace: 'prod' }), 'app.properties', 'prod');
});

// This client cannot compare and set; it must know of those who can.
test('a subscriber is told of who wins a compare and set', async t => {
  const client = dataClient(t, { cacheDir: cache(t) });
  const dataId = 'compared.properties';
  await client.publishSingle(dataId, group, 'a=1');
  const told = [];
  client.subscribe({ dataId, group }, text => told.push(text));
  await within(prompt, 'the subscriber knows what is there', () => told.at(-1) === 'a=1');
  const set = (was, is) => call('POST', '/v1/cs/configs', { dataId, group, content: is }, { casMd5: createHash('md5').update(was).digest('hex') });
  await assert.rejects(set('a=0', 'lost'), /500 false/);
  assert.strictEqual(await set('a=1', 'a=2'), 'true');
  await within(prompt, 'the subscriber knows the winner', () => told.at(-1) === 'a=2');
  await assert.rejects(set('a=1', 'lost'), /500 false/);
  assert.strictEqual(await set('a=2', 'a=3'), 'true');
  await within(prompt, 'the subscriber knows the next one', () => told.at(-1) === 'a=3');
  assert.deepStrictEqual(told, ['a=1', 'a=2', 'a=3']);
});
