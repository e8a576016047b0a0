'use strict';
// bullmq.js - BullMQ under the same load, spoken to as stage.h says. Finished jobs are kept, which is its default.
//
//   REDIS_PORT=N node bullmq.js jobs COUNT WINDOW SLOTS | submits COUNT WINDOW | bulk COUNT ROWS | trips COUNT
const { fork } = require('child_process');
const readline = require('readline');
const { Queue, QueueEvents, Worker } = require('bullmq');

const connection = { host: '127.0.0.1', port: Number(process.env.REDIS_PORT) };
const data = { prompt: 'x'.repeat(292) }, result = { url: 'y'.repeat(142) };
const WARM = 3000, REST_MS = 2; // node compiles what is used often
const seconds = () => Number(process.hrtime.bigint()) / 1e9; // the same clock in every process
const sleep = ms => new Promise(wake => setTimeout(wake, ms));

// The worker's process: says how many it has completed, and when it completed the last.
async function work(slots) {
  let completed = 0, told = 0, last = 0;
  const worker = new Worker('q', async () => result, { connection, concurrency: slots });
  worker.on('completed', () => { completed++; last = seconds(); });
  worker.on('failed', (job, error) => { console.error(error); process.exit(1); });
  worker.on('error', error => console.error(error));
  process.on('disconnect', () => process.exit(0));
  await worker.waitUntilReady();
  setInterval(() => { if (completed !== told) process.send({ completed: told = completed, last }); }, 10);
  process.send({ completed, last });
}

async function startWorker(slots) {
  const child = fork(__filename, ['worker', String(slots)]);
  const state = { child, completed: 0, last: 0, wanted: Infinity, reached: () => {} };
  await new Promise(ready => child.once('message', ready));
  child.on('message', message => {
    Object.assign(state, message);
    if (state.completed >= state.wanted) state.reached();
  });
  state.until = count => new Promise(reached => {
    Object.assign(state, { wanted: count, reached });
    if (state.completed >= count) reached();
  });
  return state;
}

async function submit(queue, count, window) {
  let sent = 0;
  const one = async () => { while (sent < count) { sent++; await queue.add('j', data); } };
  await Promise.all(Array.from({ length: window }, one));
}

async function submitBulk(queue, count, rows) {
  for (let sent = 0; sent < count; sent += rows) {
    await queue.addBulk(Array.from({ length: Math.min(rows, count - sent) }, () => ({ name: 'j', data })));
  }
}

async function trip(queue, events) {
  return (await queue.add('j', data)).waitUntilFinished(events, 10000);
}

function spread(ms) {
  ms.sort((a, b) => a - b);
  console.log(`p50_ms ${ms[ms.length >> 1]}\np99_ms ${ms[Math.floor(ms.length * 0.99)]}`);
}

async function measured(kind, queue, count, window, slots) {
  const worker = kind === 'jobs' || kind === 'trips' ? await startWorker(slots || 1) : null;
  const events = kind === 'trips' ? new QueueEvents('q', { connection }) : null;
  if (events) await events.waitUntilReady();
  const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const begin = async () => {
    console.log(['ready', process.pid].concat(worker ? [worker.child.pid] : []).join(' '));
    await lines.next();
    return seconds();
  };
  let begun, ended;
  if (kind === 'jobs') {
    let end = worker.until(WARM);
    await submit(queue, WARM, window); await end;
    begun = await begin();
    end = worker.until(WARM + count);
    await submit(queue, count, window); await end;
    ended = worker.last;
  } else if (kind === 'trips') {
    for (let i = 0; i < WARM / 30; i++) await trip(queue, events);
    begun = await begin();
    const ms = [];
    for (let i = 0; i < count; i++) {
      await sleep(REST_MS);
      const from = seconds();
      await trip(queue, events);
      ms.push((seconds() - from) * 1e3);
    }
    spread(ms);
  } else {
    const send = kind === 'bulk' ? submitBulk : submit;
    await send(queue, WARM, window);
    begun = await begin();
    await send(queue, count, window);
  }
  console.log(`seconds ${(ended || seconds()) - begun}\ndone`);
  await lines.next(); // until nobody wants to look at the processes any more
  if (worker) worker.child.kill('SIGKILL');
  process.exit(0);
}

async function main() {
  const [kind, ...numbers] = process.argv.slice(2);
  if (kind === 'worker') return work(Number(numbers[0]));
  const queue = new Queue('q', { connection });
  await queue.waitUntilReady();
  return measured(kind, queue, ...numbers.map(Number));
}

main().catch(error => { console.error(error); process.exit(1); });
