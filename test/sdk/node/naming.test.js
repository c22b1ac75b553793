'use strict';

const assert = require('node:assert');
const { describe, test } = require('node:test');
const { namingClient, call, listed, endpoints, within } = require('./world');

describe('naming', { concurrency: true }, () => {
  test('the server is up', async t => {
    const client = await namingClient(t, 'public');
    assert.strictEqual(await client.getServerStatus(), 'UP');
  });

  // This namespace is named "default", and it is not the one that others call so.
  test('instances are registered, listed, selected and deregistered', async t => {
    const client = await namingClient(t, 'default');
    const one = { ip: '192.0.2.1', port: 80, weight: 2, metadata: { name: 'größe & +1;' } };
    await client.registerInstance('pay', one);
    await client.registerInstance('pay', { ip: '192.0.2.2', port: 80, clusterName: 'bj', enabled: true, healthy: true });
    await client.registerInstance('pay', { ip: '192.0.2.9', port: 80 }, 'night');

    const all = await client.getAllInstances('pay');
    assert.deepStrictEqual(endpoints(all), ['192.0.2.1:80', '192.0.2.2:80']);
    const first = all.find(i => i.ip === one.ip);
    assert.strictEqual(first.weight, 2);
    assert.deepStrictEqual(first.metadata, one.metadata);
    assert.deepStrictEqual(endpoints(await client.getAllInstances('pay', 'night')), ['192.0.2.9:80']);
    assert.deepStrictEqual(endpoints(await client.getAllInstances('pay', 'DEFAULT_GROUP', 'bj')), ['192.0.2.2:80']);
    assert.deepStrictEqual(await listed('public', 'pay'), []);

    await call('POST', '/v1/ns/instance', { namespaceId: 'default', serviceName: 'pay', ip: '192.0.2.3', port: 80, healthy: false });
    const select = healthy => client.selectInstances('pay', 'DEFAULT_GROUP', '', healthy, false);
    assert.deepStrictEqual(endpoints(await select(true)), ['192.0.2.1:80', '192.0.2.2:80']);
    assert.deepStrictEqual(endpoints(await select(false)), ['192.0.2.3:80']);

    await client.deregisterInstance('pay', one);
    assert.deepStrictEqual(await listed('default', 'pay'), ['192.0.2.2:80', '192.0.2.3:80']);
  });

  test('beats keep an instance, and nothing keeps one without', async t => {
    const client = await namingClient(t, 'public');
    await client.registerInstance('beaten', { ip: '192.0.2.1', port: 80 });
    await call('POST', '/v1/ns/instance', { serviceName: 'beaten', ip: '192.0.2.2', port: 80 });
    await within(45000, 'the silent one is removed', async () => (await listed('public', 'beaten')).length === 1);
    assert.deepStrictEqual(endpoints(await client.selectInstances('beaten', 'DEFAULT_GROUP', '', true, false)), ['192.0.2.1:80']);
  });
});
