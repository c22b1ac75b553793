'use strict';

const assert = require('node:assert');
const { test } = require('node:test');
const { datagrams, namingClient, call, endpoints, within } = require('./world');

// A push has told of a change by then; lists are 10 s apart.
const prompt = 3000;

test('a subscriber is told of each change until it unsubscribes', async t => {
  const client = await namingClient(t, 'default');
  const change = (method, ip) => call(method, '/v1/ns/instance', { namespaceId: 'default', serviceName: 'told', ip, port: 80 });
  await change('POST', '192.0.2.1');
  let known = [];
  let calls = 0;
  const listener = hosts => { known = endpoints(hosts); calls++; };
  client.subscribe('told', listener);
  await within(prompt, 'the subscriber knows what is there', () => known.length === 1);

  const packets = way => datagrams.filter(d => d.way === way && (way === 'sent' || JSON.parse(d.packet.data).name === 'DEFAULT_GROUP@@told'));
  for (const [method, ip, want] of [
    ['POST', '192.0.2.2', ['192.0.2.1:80', '192.0.2.2:80']],
    ['POST', '192.0.2.3', ['192.0.2.1:80', '192.0.2.2:80', '192.0.2.3:80']],
    ['DELETE', '192.0.2.1', ['192.0.2.2:80', '192.0.2.3:80']],
    ['DELETE', '192.0.2.2', ['192.0.2.3:80']],
  ]) {
    await change(method, ip);
    await within(prompt, `the subscriber knows ${want}`, () => known.join() === want.join());
    const last = packets('got').at(-1);
    assert.ok(last, 'a push came');
    assert.deepStrictEqual(endpoints(JSON.parse(last.packet.data).hosts), want, 'the last push tells of it');
  }

  client.unSubscribe('told', listener);
  const before = calls;
  const pushes = packets('got').length;
  await change('POST', '192.0.2.4');
  await within(prompt, 'a push, as the client goes on to list', () => packets('got').length > pushes);
  assert.strictEqual(calls, before, 'calls of a listener that unsubscribed');

  // Without an ack that it takes, and this one is a number, the server sends again
  // 10 s later.
  const ended = Date.now();
  await within(15000, 'time for what is sent again', () => Date.now() - ended > 12000);
  const stamps = packets('got').map(d => d.packet.lastRefTime);
  assert.strictEqual(new Set(stamps).size, stamps.length, `each push comes once: ${stamps}`);
  for (const { packet } of packets('got')) {
    // Both as this client reads and writes them: as doubles.
    const ack = `"lastRefTime":${packet.lastRefTime},`;
    assert.ok(packets('sent').some(d => d.packet.type === 'push-ack' && d.text.includes(ack)), `acknowledged: ${ack}`);
  }
});
