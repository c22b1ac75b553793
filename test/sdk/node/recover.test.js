'use strict';

const assert = require('node:assert');
const { test } = require('node:test');
const { namingClient, call, crash, endpoints, within } = require('./world');

// The first beat of this client comes after 10 s, the next ones 5 s apart; lists are
// 10 s apart.
const beat = 16000;
const poll = 12000;
const prompt = 3000;

test('a client brings back what the server lost, and is told again', async t => {
  const client = await namingClient(t, 'public', () => {}); // of errors while there is no server
  const one = { ip: '192.0.2.1', port: 80, weight: 3, clusterName: 'bj', metadata: { range: '10%;x=y' } };
  await client.registerInstance('pay', one);
  let known = [];
  client.subscribe({ serviceName: 'pay', clusters: 'bj,DEFAULT' }, hosts => { known = endpoints(hosts); });
  await within(prompt, 'the subscriber knows what is there', () => known.length === 1);

  await crash();
  const [host] = await within(beat, 'a beat brings it back', async () => {
    const { hosts } = JSON.parse(await call('GET', '/v1/ns/instance/list', { serviceName: 'pay' }));
    return hosts.length > 0 && hosts;
  });
  const { ip, port, weight, clusterName, metadata, healthy } = host;
  assert.deepStrictEqual({ ip, port, weight, clusterName, metadata, healthy }, { ...one, healthy: true });

  for (const [address, ms, want] of [
    ['192.0.2.2', poll, ['192.0.2.1:80', '192.0.2.2:80']], // its list enrols it anew
    ['192.0.2.3', prompt, ['192.0.2.1:80', '192.0.2.2:80', '192.0.2.3:80']],
  ]) {
    await call('POST', '/v1/ns/instance', { serviceName: 'pay', ip: address, port: 80 });
    await within(ms, `the subscriber knows ${want}`, () => known.join() === want.join());
  }
});
