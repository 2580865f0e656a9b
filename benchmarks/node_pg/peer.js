// node-pg as a contestant: one order a line of standard input, one reply a line of standard output.
// Named statements, rows as objects, a pool. It measures by its own clock and reports its own CPU.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import pg from 'pg';

let pool, statement, calls, finish;
let next = 0;

// What each operation makes of the rows, as every peer does.
const finishes = {
  row: (rows) => rows[0],
  session: (rows) => {
    const [session, ...turns] = rows;
    for (const turn of turns) void (turn.user_text, turn.twin_text);
    return Object.assign(session, { turns });
  },
  embedding: ([{ value }]) =>
    Array.from(new Float32Array(value.buffer.slice(value.byteOffset, value.byteOffset + value.length))),
  response: ([{ value }]) => value,
  nothing: () => null,
};

const hex = (bytes) => bytes.toString('hex');

function uuid7() {
  const time = Date.now().toString(16).padStart(12, '0');
  const tail = hex(randomBytes(10));
  return `${time.slice(0, 8)}-${time.slice(8)}-7${tail.slice(0, 3)}-8${tail.slice(3, 6)}-${tail.slice(6, 18)}`;
}

// Parameters that are made for each call are marked in what the order holds.
const makers = {
  fresh: uuid7,
  json: (value) => JSON.stringify(value),
  vector: (numbers) => Buffer.from(new Float32Array(numbers).buffer),
  list: (values) => values.map(parameter),
};

function parameter(value) {
  if (typeof value !== 'object' || value === null) return value;
  return makers[value.kind](value.value);
}

async function call() {
  const values = calls[next++ % calls.length].map(parameter);
  const { rows } = await pool.query({ name: statement.name, text: statement.text, values });
  return finish(rows);
}

async function open(order) {
  if (pool) await pool.end();
  const { root, ...config } = order.config;
  if (root) config.ssl = { ca: readFileSync(root, 'utf8') };
  pool = new pg.Pool({ ...config, idleTimeoutMillis: 0 });
  statement = order.statement;
  calls = order.calls;
  finish = finishes[order.finish];
  next = 0;
  return { first: await call() };
}

async function turn({ callers, seconds }) {
  const latencies = [];
  const before = process.cpuUsage();
  const began = process.hrtime.bigint();
  const end = began + BigInt(Math.round(seconds * 1e9));
  const caller = async () => {
    let start = process.hrtime.bigint();
    while (start < end) {
      await call();
      const now = process.hrtime.bigint();
      latencies.push(Number(now - start));
      start = now;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  const took = Number(process.hrtime.bigint() - began) / 1e9;
  const used = process.cpuUsage(before);
  return { latencies, seconds: took, cpu: (used.user + used.system) / 1e6 };
}

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  let reply;
  try {
    reply = await (order.statement ? open(order) : turn(order));
  } catch (error) {
    reply = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
if (pool) await pool.end();
