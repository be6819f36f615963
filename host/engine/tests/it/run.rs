//! How fetches end.

use std::time::{Duration, Instant};

use fetchhost_engine::{ErrorKind, FetchFailure, LogLevel, Misbehaved, Misbehaviour, Plan};
use fetchhost_policy::{Limit, Limits};

use crate::guest::{FAIL, Guest, LOOP, run, session};

fn misbehaved(outcome: Result<Plan, FetchFailure>) -> Misbehaved {
    match outcome {
        Err(FetchFailure::Misbehaved(misbehaved)) => misbehaved,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it succeeded"),
    }
}

fn limit(outcome: Result<Plan, FetchFailure>) -> Limit {
    match misbehaved(outcome).what {
        Misbehaviour::Limit(overrun) => overrun.limit,
        other => panic!("{other}"),
    }
}

/// A guest that logs a kilobyte with each turn of the loop `$again`.
fn logger(fetch: &'static str) -> Guest {
    Guest {
        imports: r#"(import "nix-fetchhost:fetcher/log@0.1.0" (instance $log
              (export "info" (func (param "message" string)))))
            (core module $memory (memory (export "memory") 1)
              (data (i32.const 0) "\1b[31mred"))
            (core instance $memory (instantiate $memory))
            (core func $info (canon lower (func $log "info") (memory (core memory $memory "memory"))))"#
            .to_owned(),
        declared: r#"(import "extra" "info" (func $info (param i32 i32)))"#,
        lowered: r#"(with "extra" (instance (export "info" (func $info))))"#,
        fetch,
        ..Guest::default()
    }
}

#[tokio::test]
async fn a_fetch_gives_a_plan() {
    let plan = Guest::default().run(Limits::default()).await.unwrap();
    assert!(matches!(plan, Plan::Tree(entries) if entries.is_empty()));
}

#[tokio::test]
async fn one_module_serves_many_fetches_each_in_a_new_instance() {
    let module = Guest::default().load().await.unwrap();
    for _ in 0..100 {
        run(&module, Limits::default()).await.0.unwrap();
    }
}

#[tokio::test]
async fn a_fetcher_that_the_module_does_not_have_is_refused() {
    let module = Guest::default().load().await.unwrap();
    let outcome = module
        .fetch("other", "{}", session(&module, Limits::default()).0)
        .await;
    assert!(matches!(outcome, Err(FetchFailure::UnknownFetcher(name)) if name == "other"));
}

#[tokio::test]
async fn a_loop_runs_out_of_fuel() {
    let limits = Limits {
        fuel: 10_000_000,
        ..Limits::default()
    };
    let outcome = Guest {
        fetch: LOOP,
        ..Guest::default()
    }
    .run(limits)
    .await;
    assert_eq!(limit(outcome), Limit::Fuel);
}

#[tokio::test]
async fn a_loop_with_fuel_to_spare_is_stopped_by_the_clock() {
    let call_timeout = Duration::from_millis(200);
    let limits = Limits {
        fuel: u64::MAX / 2,
        call_timeout,
        ..Limits::default()
    };
    let start = Instant::now();
    let outcome = Guest {
        fetch: LOOP,
        ..Guest::default()
    }
    .run(limits)
    .await;
    assert_eq!(limit(outcome), Limit::CallTimeout);
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn a_looping_guest_lets_others_run() {
    let limits = Limits {
        fuel: 2_000_000_000,
        ..Limits::default()
    };
    let module = Guest {
        fetch: LOOP,
        ..Guest::default()
    }
    .load()
    .await
    .unwrap();
    let mut turns = 0;
    let ticks = async {
        loop {
            tokio::task::yield_now().await;
            turns += 1;
        }
    };
    tokio::select! {
        (outcome, _) = run(&module, limits) => assert_eq!(limit(outcome), Limit::Fuel),
        () = ticks => {}
    }
    assert!(turns > 10, "{turns}");
}

#[tokio::test]
async fn memory_is_bounded() {
    let fetch = "(loop $again
        (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable";
    let limits = Limits {
        memory: 32 << 20,
        ..Limits::default()
    };
    let outcome = Guest {
        fetch,
        ..Guest::default()
    }
    .run(limits)
    .await;
    assert_eq!(limit(outcome), Limit::Memory);
}

#[tokio::test]
async fn resources_are_bounded() {
    let fetch = "(loop $again (drop (call $tree)) (br $again)) unreachable";
    let outcome = Guest {
        fetch,
        ..Guest::default()
    }
    .run(Limits::default())
    .await;
    assert_eq!(limit(outcome), Limit::TableEntries);
}

#[tokio::test]
async fn endless_recursion_is_a_trap() {
    let fetch = "(call $hostile_fetch (local.get 0) (local.get 1) (local.get 2) (local.get 3))";
    let outcome = Guest {
        fetch,
        ..Guest::default()
    }
    .run(Limits::default())
    .await;
    let Misbehaviour::Trap { message, .. } = misbehaved(outcome).what else {
        panic!()
    };
    assert_eq!(message, "call stack exhausted");
}

#[tokio::test]
async fn a_trap_names_the_function() {
    let outcome = Guest {
        fetch: "unreachable",
        ..Guest::default()
    }
    .run(Limits::default())
    .await;
    let Misbehaviour::Trap { message, functions } = misbehaved(outcome).what else {
        panic!()
    };
    assert_eq!(message, "wasm `unreachable` instruction executed");
    assert_eq!(functions, ["hostile_fetch"]);
}

#[tokio::test]
async fn a_result_outside_of_memory_is_a_trap() {
    let outcome = Guest {
        fetch: "(i32.const -8)",
        ..Guest::default()
    }
    .run(Limits::default())
    .await;
    assert!(matches!(
        misbehaved(outcome).what,
        Misbehaviour::Trap { .. }
    ));
}

#[tokio::test]
async fn a_reported_failure_comes_through() {
    let guest = Guest {
        fetch: FAIL,
        report: ("not-found", "no such job"),
        ..Guest::default()
    };
    let Err(FetchFailure::Reported(reported)) = guest.run(Limits::default()).await else {
        panic!()
    };
    assert_eq!(
        (reported.kind, reported.message.as_str()),
        (ErrorKind::NotFound, "no such job")
    );
}

#[tokio::test]
async fn a_denial_cannot_be_forged() {
    let guest = Guest {
        fetch: FAIL,
        report: ("denied", "ask for more"),
        ..Guest::default()
    };
    let Err(FetchFailure::Reported(reported)) = guest.run(Limits::default()).await else {
        panic!()
    };
    assert_eq!(reported.kind, ErrorKind::Other);
}

/// A guest that makes a request to `https://x.example/`, calls what `fetch` says with it, and
/// reports `word`.
fn asker(fetch: &'static str, word: &'static str) -> Guest {
    Guest {
        imports: r#"(import "nix-fetchhost:fetcher/http@0.1.0" (instance $http
              (type $methods (enum "get" "head" "post" "put" "patch" "delete"))
              (export "method" (type $method (eq $methods)))
              (alias outer 1 $fetch-error (type $error))
              (export "fetch-error" (type $fetch-error (eq $error)))
              (export "request" (type $request (sub resource)))
              (export "response" (type $response (sub resource)))
              (export "[constructor]request"
                (func (param "method" $method) (param "url" string) (result (own $request))))
              (export "[method]request.set-header"
                (func (param "self" (borrow $request)) (param "name" string) (param "value" string)
                  (result (result (error $fetch-error)))))
              (export "send" (func (param "request" (own $request))
                (result (result (own $response) (error $fetch-error)))))))
            (core module $memory (memory (export "memory") 1)
              (global $heap (mut i32) (i32.const 4096))
              (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                (global.get $heap)
                (global.set $heap (i32.add (global.get $heap)
                  (i32.and (i32.add (local.get 3) (i32.const 7)) (i32.const -8)))))
              (data (i32.const 0) "https://x.example/")
              (data (i32.const 64) "Authorization"))
            (core instance $memory (instantiate $memory))
            (core func $request (canon lower (func $http "[constructor]request")
              (memory (core memory $memory "memory"))))
            (core func $header (canon lower (func $http "[method]request.set-header")
              (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
            (core func $send (canon lower (func $http "send")
              (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
            (alias export $http "request" (type $request))
            (core func $drop (canon resource.drop $request))"#
            .to_owned(),
        declared: r#"
            (import "extra" "request" (func $new (param i32 i32 i32) (result i32)))
            (import "extra" "header" (func $header (param i32 i32 i32 i32 i32 i32)))
            (import "extra" "send" (func $send (param i32 i32)))
            (import "extra" "drop" (func $drop (param i32)))
            (func $request (result i32) (call $new (i32.const 0) (i32.const 0) (i32.const 18)))"#,
        lowered: r#"(with "extra" (instance
            (export "request" (func $request))
            (export "header" (func $header))
            (export "send" (func $send))
            (export "drop" (func $drop))))"#,
        fetch,
        report: (word, "it was something else"),
        ..Guest::default()
    }
}

#[tokio::test]
async fn a_denial_is_what_the_user_reads_whatever_the_guest_says() {
    for word in ["not-found", "network", "denied"] {
        let fetch = "(call $send (call $request) (i32.const 1024)) (i32.const 4096)";
        let outcome = asker(fetch, word).run(Limits::default()).await;
        let Err(FetchFailure::Denied(denial)) = outcome else {
            panic!("{outcome:?}")
        };
        assert!(denial.to_string().contains("x.example"), "{denial}");
    }
}

#[tokio::test]
async fn a_denial_explains_a_guest_that_traps_because_of_it() {
    let fetch = "(call $send (call $request) (i32.const 1024)) unreachable";
    let outcome = asker(fetch, "other").run(Limits::default()).await;
    assert!(
        matches!(outcome, Err(FetchFailure::Denied(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_denial_that_the_guest_does_without_is_forgotten() {
    let fetch = "(call $send (call $request) (i32.const 1024)) (call $ok)";
    asker(fetch, "other").run(Limits::default()).await.unwrap();
}

#[tokio::test]
async fn requests_are_bounded_even_when_they_are_denied() {
    let fetch = "(loop $again
        (call $send (call $request) (i32.const 1024)) (br $again)) unreachable";
    let limits = Limits {
        requests: 50,
        ..Limits::default()
    };
    assert_eq!(
        limit(asker(fetch, "other").run(limits).await),
        Limit::Requests
    );
}

#[tokio::test]
async fn a_guest_that_gives_up_over_a_planted_header_misbehaved() {
    let fetch = "(call $header (call $request)
        (i32.const 64) (i32.const 13) (i32.const 64) (i32.const 13) (i32.const 1024)) (i32.const 4096)";
    let outcome = asker(fetch, "denied").run(Limits::default()).await;
    assert_eq!(
        misbehaved(outcome).what,
        Misbehaviour::Header {
            name: "Authorization".to_owned()
        }
    );
}

#[tokio::test]
async fn what_a_guest_leaves_with_the_host_is_bounded() {
    let fetch = "(loop $again (drop (call $new (i32.const 0) (i32.const 0) (i32.const 60000)))
        (br $again)) unreachable";
    let limits = Limits {
        memory: 16 << 20,
        ..Limits::default()
    };
    assert_eq!(
        limit(asker(fetch, "other").run(limits).await),
        Limit::Memory
    );
}

#[tokio::test]
async fn a_loop_over_host_calls_runs_out_of_fuel_and_not_of_patience() {
    let fetch = "(loop $again (call $drop (call $request)) (br $again)) unreachable";
    // The guest itself burns so little of this that it would go on for a minute.
    let limits = Limits {
        fuel: 1_000_000_000,
        ..Limits::default()
    };
    let start = Instant::now();
    let outcome = asker(fetch, "other").run(limits).await;
    assert_eq!(limit(outcome), Limit::Fuel);
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn what_a_guest_drops_is_given_back() {
    // Sixteen times as much as there may be at once.
    let fetch = "(local $left i32) (local.set $left (i32.const 4096))
        (loop $again
          (call $drop (call $new (i32.const 0) (i32.const 0) (i32.const 60000)))
          (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (call $ok)";
    let limits = Limits {
        memory: 16 << 20,
        ..Limits::default()
    };
    asker(fetch, "other").run(limits).await.unwrap();
}

#[tokio::test]
async fn messages_reach_the_log_without_control_characters() {
    let guest = logger("(call $info (i32.const 0) (i32.const 8)) (call $ok)");
    let module = guest.load().await.unwrap();
    let (outcome, lines) = run(&module, Limits::default()).await;
    outcome.unwrap();
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (lines[0].level, lines[0].message.as_str()),
        (LogLevel::Info, "\\u{1b}[31mred")
    );
}

#[tokio::test]
async fn the_log_is_bounded() {
    for each in ["(i32.const 1024)", "(i32.const 0)"] {
        let fetch =
            format!("(loop $again (call $info (i32.const 0) {each}) (br $again)) unreachable");
        let outcome = logger(fetch.leak()).run(Limits::default()).await;
        assert_eq!(limit(outcome), Limit::LogBytes);
    }
}

#[tokio::test]
async fn sockets_can_be_imported_but_not_used() {
    let imports = r#"(import "wasi:sockets/network@0.2.9" (instance $network
          (export "network" (type (sub resource)))))
        (alias export $network "network" (type $n))
        (import "wasi:sockets/instance-network@0.2.9" (instance $sockets
          (alias outer 1 $n (type $outer))
          (export "network" (type $same (eq $outer)))
          (export "instance-network" (func (result (own $same))))))
        (core func $open (canon lower (func $sockets "instance-network")))"#;
    let guest = |fetch| Guest {
        imports: imports.to_owned(),
        declared: r#"(import "extra" "open" (func $open (result i32)))"#,
        lowered: r#"(with "extra" (instance (export "open" (func $open))))"#,
        fetch,
        ..Guest::default()
    };
    let idle = guest("(call $ok)");
    idle.run(Limits::default()).await.unwrap();
    assert_eq!(
        idle.load().await.unwrap().trapped_imports(),
        [
            "wasi:sockets/network@0.2.9",
            "wasi:sockets/instance-network@0.2.9"
        ]
    );
    let outcome = guest("(call $open)").run(Limits::default()).await;
    assert_eq!(
        misbehaved(outcome).to_string(),
        "the module called `wasi:sockets/instance-network@0.2.9#instance-network`, which fetchers do not have"
    );
}

#[tokio::test]
async fn a_trap_interface_may_use_resources_of_an_inert_one() {
    let imports = r#"(import "wasi:io/poll@0.2.9" (instance $poll
          (export "pollable" (type (sub resource)))))
        (alias export $poll "pollable" (type $p))
        (import "wasi:sockets/tcp@0.2.9" (instance
          (alias outer 1 $p (type $outer))
          (export "pollable" (type $same (eq $outer)))
          (export "tcp-socket" (type $socket (sub resource)))
          (export "[method]tcp-socket.subscribe"
            (func (param "self" (borrow $socket)) (result (own $same))))))"#;
    Guest {
        imports: imports.to_owned(),
        ..Guest::default()
    }
    .run(Limits::default())
    .await
    .unwrap();
}

#[tokio::test]
async fn the_environment_is_empty() {
    let imports = r#"(import "wasi:cli/environment@0.2.6" (instance $env
          (export "get-environment" (func (result (list (tuple string string)))))))
        (core module $memory (memory (export "memory") 1)
          (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (if (local.get 3) (then unreachable)) (i32.const 8)))
        (core instance $memory (instantiate $memory))
        (core func $env (canon lower (func $env "get-environment")
          (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))"#;
    let guest = Guest {
        imports: imports.to_owned(),
        declared: r#"(import "extra" "env" (func $env (param i32)))"#,
        lowered: r#"(with "extra" (instance (export "env" (func $env))))"#,
        // A list with anything in it would need memory, and asking for it traps.
        fetch: "(call $env (i32.const 0)) (call $ok)",
        ..Guest::default()
    };
    guest.run(Limits::default()).await.unwrap();
}
