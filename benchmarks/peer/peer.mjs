// Measures BullMQ on a private Redis or Valkey and prints one JSON object; units are in the names.
//
//   node peer.mjs <port> [<jobs per row>]
//
// No-op jobs with a payload of 200 bytes, the last 100 completed kept, BullMQ's defaults otherwise. Producer
// and worker share this process; its CPU is taken while it only works, the server's from enqueue to removal.

import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";

const connection = { host: "127.0.0.1", port: Number(process.argv[2]) };
const jobs = Number(process.argv[3] ?? 20_000);
const payload = { data: "x".repeat(200 - '{"data":""}'.length) };
const options = { removeOnComplete: { count: 100 }, removeOnFail: { count: 50 } };
const BATCH = 50;
const SECONDS_OF_LATENCY = 6;
const DELAYED = 200;

const server = new Redis(connection);
const queues = [];

function queue(name) {
  const made = new Queue(name, { connection, defaultJobOptions: options });
  queues.push(made);
  return made;
}

function batch(size, make = () => ({})) {
  return Array.from({ length: size }, (_, n) => ({ name: "job", data: payload, opts: make(n) }));
}

async function info(section, field) {
  const text = await server.info(section);
  return Number(text.match(new RegExp(`^${field}:([0-9.]+)`, "m"))[1]);
}

const serverCpu = async () => (await info("cpu", "used_cpu_user")) + (await info("cpu", "used_cpu_sys"));
const serverBytes = () => info("memory", "used_memory");

async function secondsFor(work) {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

const perSecond = async (count, work) => count / (await secondsFor(work));

function percentiles(values, name) {
  values.sort((a, b) => a - b);
  const at = (share) => values[Math.min(values.length - 1, Math.floor(share * values.length))];
  return { [`${name}_p50_ms`]: at(0.5), [`${name}_p99_ms`]: at(0.99) };
}

async function work(from, count, concurrency, handler = async () => {}) {
  const worker = new Worker(from.name, handler, { connection, concurrency, autorun: false });
  await worker.waitUntilReady();
  let done = 0;
  const all = new Promise((resolve) => worker.on("completed", () => ++done === count && resolve()));
  const run = () => {
    worker.run();
    return all;
  };
  return { run, close: () => worker.close() };
}

async function enqueueRates() {
  const to = queue("enqueue");
  await to.waitUntilReady();
  const serial = Math.ceil(jobs / 10);
  const concurrent = async () => {
    let left = jobs;
    const producer = async () => {
      while (left-- > 0) await to.add("job", payload);
    };
    await Promise.all(Array.from({ length: BATCH }, producer));
  };
  return {
    add_one_by_one_per_s: await perSecond(serial, async () => {
      for (let n = 0; n < serial; n++) await to.add("job", payload);
    }),
    add_50_concurrent_per_s: await perSecond(jobs, concurrent),
    add_bulk_per_s: await perSecond(jobs, async () => {
      for (let n = 0; n < jobs; n += 1000) await to.addBulk(batch(Math.min(1000, jobs - n)));
    }),
  };
}

async function fill(to, ids) {
  await to.waitUntilReady();
  const before = await serverBytes();
  for (let n = 0; n < jobs; n += BATCH) {
    await to.addBulk(batch(Math.min(BATCH, jobs - n), (m) => (ids ? { jobId: ids(n + m) } : {})));
  }
  return ((await serverBytes()) - before) / jobs;
}

async function drain(name, concurrency, ids) {
  const from = queue(name);
  await from.waitUntilReady();
  const cpuBefore = await serverCpu();
  const bytes = await fill(from, ids);
  const worker = await work(from, jobs, concurrency);
  const ownBefore = process.cpuUsage();
  const rate = await perSecond(jobs, worker.run);
  const own = process.cpuUsage(ownBefore);
  const cpu = (await serverCpu()) - cpuBefore;
  await worker.close();
  return { rate, bytes, server_us: (cpu * 1e6) / jobs, worker_us: (own.user + own.system) / jobs };
}

async function latency() {
  const to = queue("latency");
  const count = 50 * SECONDS_OF_LATENCY;
  const taken = [];
  const worker = await work(to, count, 10, async (job) => {
    taken.push(performance.now() - job.data.at);
  });
  const all = worker.run();
  const start = performance.now();
  for (let n = 0; n < count; n++) {
    await sleep(Math.max(0, start + n * 20 - performance.now()));
    await to.add("job", { ...payload, at: performance.now() });
  }
  await all;
  await worker.close();
  return percentiles(taken, "latency");
}

async function lateness() {
  const to = queue("delayed");
  const late = [];
  const worker = await work(to, DELAYED, 10, async (job) => {
    late.push(Date.now() - job.timestamp - job.opts.delay);
  });
  const all = worker.run();
  await to.addBulk(batch(DELAYED, (n) => ({ delay: 200 + 10 * n })));
  await all;
  await worker.close();
  return percentiles(late, "delayed_lateness");
}

const enqueued = await enqueueRates();
const hundred = await drain("drain-100", 100);
const ten = await drain("drain-10", 10, (n) => `send-0197b3f0-5c1e-7a55-9c3d-${String(n).padStart(12, "0")}`);
const result = {
  jobs,
  ...enqueued,
  drain_100_per_s: hundred.rate,
  drain_10_per_s: ten.rate,
  server_cpu_us_per_job: hundred.server_us,
  worker_cpu_us_per_job_100: hundred.worker_us,
  worker_cpu_us_per_job_10: ten.worker_us,
  bytes_per_waiting_job: hundred.bytes,
  bytes_per_waiting_job_with_41_character_id: ten.bytes,
  ...(await latency()),
  ...(await lateness()),
};
await Promise.all(queues.map((each) => each.close()));
await server.quit();
console.log(JSON.stringify(result));
