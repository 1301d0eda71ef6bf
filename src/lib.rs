//! Mainstay: a durable primary database that speaks the Redis protocol.
//!
//! Data lives in memory; truth lives in a checksummed, segmented log. A reply leaves when what it says
//! is durable. `README.md` says what users are promised, `storage-format.md` what the bytes on disk
//! mean; this page says how the code is built and why.
//!
//! # As a library
//!
//! The engine needs no network:
//!
//! ```
//! use mainstay::commands::Settings;
//! use mainstay::engine::{Engine, Machine};
//! use mainstay::log::Options;
//! use mainstay::session::Client;
//!
//! let dir = tempfile::tempdir()?;
//! let settings = Settings::default();
//! let (engine, _) = Engine::open(Machine::real(), dir.path(), 16, settings, Options::default())?;
//! engine.start();
//! let mut client = Client::default();
//!
//! let (outcome, reply) = client.run(&mut engine.lock(), &[b"SET", b"greeting", b"hello"]);
//! engine.wait(&outcome)?; // until the write is durable
//! assert_eq!(reply, b"+OK\r\n");
//!
//! let (outcome, reply) = client.run(&mut engine.lock(), &[b"GET", b"greeting"]);
//! engine.wait(&outcome)?; // what it shows is not lost either
//! assert_eq!(reply, b"$5\r\nhello\r\n");
//! engine.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Floors
//!
//! Each imports only from those below it.
//!
//! ```text
//! main.rs      mainstay-server                              tools/   mainstay-tool, a file a verb
//! ------------------------------------------------------------------------------------------------
//! server/      the process and the network
//!   process/     start, arguments, daemon, load
//!   net/         listener; a connection's input, executor, outbox, mailbox; reply gates
//!   commands/    what concerns the process and its connections, a file a family
//!   tasks/       what runs by the clock or in the background: snapshots, saves
//!   state/       the server as parts: clients, listeners, memory, slow log, what all share
//!   config/      the one table of directives; the syntax of redis.conf; GET, SET, REWRITE
//! ------------------------------------------------------------------------------------------------
//! session/     the way of a request: resolve, its gates, queue or run, EXEC, statistics
//! ------------------------------------------------------------------------------------------------
//! engine/      the one place where keyspace and log meet: open, import, units, expiry, replay,
//!              snapshots, compaction. Usable as a library, without a network
//! engine/import/   starting on the directory of a Redis
//! ------------------------------------------------------------------------------------------------
//! commands/    commands on data, one file a family; Store: reads and writes with their effects
//! ------------------------------------------------------------------------------------------------
//! keyspace/    databases, entries, the read gate, keys that are watched or waited for, captures
//! log/         frames, segments, base, manifest, commit buffer, drain, sync, roll, heal, compaction,
//!              recovery; for tools: views, scans over damage, what was saved
//! ------------------------------------------------------------------------------------------------
//! rdb/         RDB of every version, Redis's and Valkey's: values (DUMP, RESTORE), files, files in
//!              blocks (the base)
//! ------------------------------------------------------------------------------------------------
//! data/        value types, and the table that keyspace and big collections share
//! resp/        the wire protocol, RESP2 and RESP3
//! disk/        files, the real ones and simulated ones that crash on demand
//! env.rs       time and randomness, which come in as parameters as files do
//! words.rs     numbers of things, in words
//! splitmix.rs  numbers that a seed determines
//! ```
//!
//! # The way of a write
//!
//! 1. [`server::net::connection`] reads bytes, [`resp::RequestParser`] cuts requests off them and
//!    [`commands::Directory::resolve`] finds each command: all without a lock. A command that needs
//!    no engine (`INFO`, `CONFIG GET`, `CLIENT LIST`) runs without it, from counts that were
//!    published when the engine was last released ([`engine::published`]).
//! 2. [`engine::Engine::lock`] is taken for a *batch*: at most 64 commands, 256 KiB of replies or about
//!    0.5 ms. Each request passes [`session::Way::request`]: its gates, then the queue of a
//!    transaction or its row's function, as one [`engine::Unit`]. The function changes the keyspace
//!    through [`commands::Store`], writes its reply after the connection's others, and states its
//!    *effect*, the deterministic command that the log carries.
//! 3. The command's effects move the LSN on. The [`keyspace::LastWrites`] notes it for the keys
//!    touched, and the reply depends on it; a read depends on the LSN last noted for its keys, so
//!    that nothing shows what a crash could take back.
//! 4. When the guard is dropped the effects go to the log's commit buffer ([`log::Log::append`]), in commit
//!    order because the engine is still held. No I/O so far.
//! 5. *Drain*: what has gathered becomes frames of the segment, with one positioned write each. Under
//!    `always` the log thread does it; under `everysec` and `no` the I/O thread, once the connections that
//!    were ready have executed ([`server::net::reply_gates`]).
//! 6. *Sync*: the log thread calls `fdatasync` and publishes the durable LSN; meanwhile the next group
//!    gathers. When nothing is left to write, a marker frame records the durable LSN.
//! 7. The log's listeners wake each I/O thread's dispatcher, which sends the replies and pushes whose
//!    [`log::Gate`] is passed, without waking their connections' tasks. A connection reads and executes
//!    on while its replies wait.
//!
//! # The way of a snapshot
//!
//! 1. [`engine::Guard::begin_snapshot`] notes the LSN and every database's count of keys, and advances the *epoch*. From
//!    now on each database has a [capture](keyspace::Database): an entry of another epoch has not been recorded.
//! 2. I/O threads, which hold the engine anyway, encode a *slice* behind a batch: a walk in the order of hashes, about
//!    0.1 ms, at most a fortieth of the time while commands come. Strings are only marked as ones to be compressed.
//! 3. A command that is about to change or remove an entry that was not recorded has it recorded first. A big value is not
//!    encoded in one go: it remembers what it was, element by element or node by node ([`data::saving`]), while commands go on
//!    changing it, and slices give it out in pieces. When it is deleted, it is handed to the snapshot whole.
//! 4. The thread `snapshot` takes what was encoded ([`engine::snapshot::Parts`]), compresses it, and writes an RDB
//!    in blocks ([`rdb::blocks`]). It never takes the engine.
//! 5. If every database's keys are all there, the log rolls to a new segment, the frames since the snapshot's LSN are copied behind
//!    the RDB, the whole file is read back as a start would read it, and the manifest that lists this base and the segments
//!    behind it is stored ([`engine::compact`], [`log::Log::finish_base`]). `BGSAVE` ends with step 4 and a rename.
//!
//! What is kept for a snapshot is bounded: beyond 32 MiB, connections that would write wait before they take the engine. A
//! snapshot that is given up leaves epochs behind that no later one takes for its own.
//!
//! # Reading what somebody else has open
//!
//! A tool holds the files of one manifest ([`log::View`]): whatever the server removes or compacts meanwhile stays readable, and a
//! file that is held is not recycled. It reads up to the LSN that frames and markers attest to be durable. The same code as in
//! recovery reads it ([`engine::Engine::read`]), up to any moment within what is retained ([`log::View::histories`]).
//! Where files are damaged, [`log::scan::Scan`] goes on behind the damage, and [`log::SalvageWriter`] writes what was saved, with
//! [`log::Lost`] in the place of the rest.
//!
//! # Threads
//!
//! | thread | does |
//! |---|---|
//! | main | starts, waits for the end, closes the log |
//! | `load` | at the start: recovers the log, or imports what a Redis has left, into an engine of its own; then that one's data take the place of the serving one's, which has refused most commands so far |
//! | `io-0` … | `io-threads` of them (default 1, at most the cores), each a current-thread runtime: connections, and its dispatcher of held replies. `io-0` also accepts, expires keys and disconnects the idle |
//! | `log` | one [`log::Action`] at a time: drain (`always`), sync, roll to the next segment, heal |
//! | `log-prepare` | makes and zeroes the next segment ahead of time |
//! | `log-compress` | compresses retired segments ([`log::Log::compress_retired`]); with a low priority |
//! | `snapshot` | while one is taken: compresses and writes it; with a low priority |
//! | `lazyfree` | frees big values ([`keyspace::garbage`]) |
//! | at start | one fewer than there are cores decode the blocks of a base, the main one fills the keyspace |
//! | `logger` | writes the server's own log, so that what logs under a lock does not wait for a file |
//!
//! A panic in any of them ends the process ([`mod@server::panic`]). In a program that embeds the
//! engine, a guard that a panic drops poisons it: nothing more is executed or logged.
//!
//! # Locks
//!
//! | lock | guards | held for |
//! |---|---|---|
//! | engine | keyspace, settings, effects not yet in the log | a batch, or a slice of expiry. Only I/O threads take it (and `load` and main once each, to begin and to end). No `.await` and no I/O under it, but for what is listed below |
//! | log: commit buffer | executed commands that are not drained | a copy or a swap, never I/O |
//! | log: writer | segment, manifest, commands kept until they are durable | a drain; longer for a roll or a heal, which `writer_busy` announces so that others leave their drain to the log thread. Never for a sync, except a roll's and a heal's |
//! | small ones | waiting replies, list of clients, one client's public state, configuration, failure, statistics | a few instructions |
//!
//! Under the engine's lock there is no I/O, no look-up of names, no walk over clients, and no big
//! value is freed. What a command shows of clients and process, and the file of `CONFIG REWRITE`,
//! are rows that run without the engine ([`session::Run::Outside`]), within `EXEC` once it is free
//! ([`session::Later`]); names in `bind` are looked up before the batch ([`server::net::names`]);
//! lines of the server's log go to their thread ([`server::logger`]); big values that go are freed
//! once the engine is free ([`keyspace::garbage`]). Exceptions by design, each asked for: `SAVE`,
//! `DEBUG RELOAD`, the save of a shutdown, and `CONFIG SET appendonly`, which writes or closes a
//! log. `CONFIG SET bind` and `port` open sockets, which waits for nothing.
//!
//! They are taken in this order: engine, then writer, then commit buffer, then a small one. What is read on
//! every command (the three LSNs, the mode, whether the log has failed) is atomic.
//!
//! # Decisions
//!
//! Where a measurement or the code showed a better way than the design had, with the figures. They were taken
//! on ext4 on a virtio disk, in a loop of writing 3 KB and `fdatasync`.
//!
//! **Frames are written with positioned writes in all modes, never through a memory map, and segments are zeroed
//! ahead.**
//!
//! | segment | stored with | per second | sync, p50 |
//! |---|---|---|---|
//! | filled with zeros | `pwrite` | 7,400 to 8,100 | 115 to 125 µs |
//! | reserved only | map | 6,300 to 7,000 | 123 to 140 µs |
//! | reserved only | `pwrite` | 4,900 to 5,200 | 185 to 203 µs |
//! | filled with zeros | map | 3,100 to 3,400 | 260 to 290 µs: large folios are written back whole |
//!
//! In a file that was only reserved, the first write to a block makes the file system note that it is
//! written, which the sync has to wait for. Zeros take that away, and cost one more write of everything, in
//! the background. `pwrite` is the faster way to fill them, and it turns a store that fails into an error;
//! through a map it would be SIGBUS.
//!
//! **Segments begin at 1 MiB and grow fourfold up to `log-segment-size`** (1, 4, 16, 64 MiB). The first one has
//! to be zeroed before the server is ready, and an idle or short-lived one should not write 64 MiB of zeros.
//! The next one is prepared when a quarter of the current one is used. If it is not ready when it is needed, one is
//! made at once with its space only reserved: syncs are slower in it, but nobody waits for zeros.
//!
//! **There is no second index for expiry.** Items with an expiry time carry a mark in the table, and each of its
//! segments a lower bound of its deadlines. A sweep ([`data::table::Table`]) walks segments in order of
//! hash, passes those over in which nothing can be due, and looks only at marked items in the others. It runs in slices of
//! about 64 keys under the engine's lock, `hz` times a second for at most a quarter of the period. So a key with an
//! expiry time costs its 8 bytes, and the index nothing. A hash of which fields expire carries the same mark, with
//! the first of their times, and keeps its own fields in the same way.
//!
//! **A collection is one word in its key's entry** ([`data::word`]): a pointer whose low bits say whether it is a listpack,
//! an intset or something big. Small ones are the very bytes that RDB has. Big hashes and sets are the table of the keyspace over
//! elements of one allocation each; big sorted sets that table and a B+tree that knows ranks ([`data::sorted_set`]);
//! big lists a sequence of listpacks; streams an ordered map of listpacks.
//!
//! **A big value is saved in pieces while it changes** ([`data::saving`]), so that no command does more than one bounded part of a
//! snapshot's work. Hashes, sets and sorted sets keep what changes ahead of a cursor in the order of hashes, streams the nodes and long
//! strings the pages that change; lists, and what is pending in consumer groups, lie in chunks that a saving shares until one of both
//! sides changes. As long as nothing is saved that is a comparison with null a change, and 24 bytes for each node of a big list.
//!
//! **Each table orders hashes its own way** ([`data::salted`]). Tables give out what they hold in the order of hashes. With one
//! order for all, to copy one table into another was to insert in order, at the low end of a table that had not grown yet:
//! 500,000 fields then took 162 bytes each, not 44.
//!
//! **A client that waits for a key has its command run again** once the key has changed
//! ([`engine::BlockedClient`]), by the thread that changed it, as a unit of its own. How the wait
//! ends is one claim: the lock that the command holds while it runs. So there is one implementation
//! of `BLPOP`, and the log carries what it did.
//!
//! **What a snapshot has recorded is told by a byte in each entry**, the epoch, not by a set of keys: it costs no memory, and a
//! command asks for it where it has the entry in its cache anyway. After 254 snapshots in a row that were given up, the
//! bytes are set anew, in one go.
//!
//! **Small values are encoded by whoever changes them, big ones are kept in parts.** The limit is 256 elements or nodes and 32 KiB.
//! Handing small old entries over as they are was the alternative; encoded, they need less memory, and the cost
//! is the one that the walk would have had.
//!
//! **Slices mark strings, the writer compresses them.** LZF takes about a microsecond for a hundred bytes, several times what it
//! takes to copy them; in the slices that would be time of all clients.
//!
//! **A base is read back before it takes the place of what lies before** ([`log::Log::finish_base`]), by the code that a start
//! reads it with. Whatever is wrong with it then costs a rewrite and no data. It takes 0.3 s for 1.3 million keys, beside 1.5 s for
//! writing them, and a few MiB, or a few times the longest command behind the RDB: of a record above 2 MiB only the checksum is
//! compared.
//!
//! **A timeline begins at every start that follows no clean close**, not only at one that had to cut: a power cut
//! can take commands without leaving a trace, and their LSNs must not come to mean other commands.
//!
//! Figures of the whole server are in `benches/README.md`.
#![warn(missing_docs)]

pub mod commands;
pub mod data;
pub mod disk;
pub mod engine;
pub mod env;
pub mod keyspace;
pub mod log;
pub mod rdb;
pub mod resp;
pub mod server;
pub mod session;
pub mod splitmix;
pub mod words;
