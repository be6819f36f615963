//! What is taken away from caches that real Nix made, and what real Nix reads of the rest.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use fetchhost_e2e::{
    ACCESS_KEY_ID, CommandLine, Nix, S3Server, SECRET_ACCESS_KEY, Sandbox, files_below,
};

use super::verify::{copied, record, records, substituted, url, verify};

fn gc(url: &str) -> CommandLine {
    CommandLine::new(["cache", "gc"]).flag(url)
}

fn names(nix: &Nix) -> BTreeSet<String> {
    let records = records(nix).into_iter();
    records
        .map(|(_, record)| record.store_path.name().to_owned())
        .collect()
}

#[test]
fn roots_keep_their_closures_and_nix_reads_them() {
    for nix in Nix::all("roots_keep_their_closures_and_nix_reads_them") {
        copied(&nix, "compression=xz&write-nar-listing=true");
        let root = record(&nix, "b").1.store_path.to_string();
        fs::write(nix.path("cache/nar/loose.nar.xz"), "loose").unwrap();
        let before = files_below(&nix.path("cache"));
        let sandbox = nix.sandbox();
        let line = || {
            gc(&url(&nix))
                .with("--root", &root)
                .with("--orphan-hours", 0)
        };
        let planned = sandbox.run(line().flag("--json")).exits(0).json();
        assert_eq!(
            planned["records"]["keys"].as_array().unwrap().len(),
            1,
            "{planned}"
        );
        assert_eq!(
            planned["nars"]["keys"].as_array().unwrap().len(),
            2,
            "{planned}"
        );
        assert!(planned["deleted"].is_null() && planned["nars"]["oldest"].is_string());
        assert_eq!(
            files_below(&nix.path("cache")),
            before,
            "nothing is done without --delete"
        );

        // What may be somebody's who is publishing stays.
        let done = sandbox
            .run(gc(&url(&nix)).with("--root", &root).flag("--delete"))
            .exits(0);
        assert!(
            done.stdout.contains("took away 0 entries, 0 NARs"),
            "{}",
            done.stdout
        );
        assert_eq!(files_below(&nix.path("cache")), before);

        let done = sandbox.run(line().flag("--delete")).exits(0);
        assert!(
            done.stdout
                .contains("took away 1 entries, 2 NARs, 1 listings"),
            "{}",
            done.stdout
        );
        assert_eq!(names(&nix), ["a", "b"].map(str::to_owned).into());
        sandbox.run(verify(&url(&nix))).exits(0);
        assert!(substituted(&nix, &root));
    }
}

#[test]
fn roots_that_are_none_or_nowhere_are_refused() {
    for nix in Nix::all("roots_that_are_none_or_nowhere_are_refused")
        .into_iter()
        .take(1)
    {
        copied(&nix, "compression=none");
        let sandbox = nix.sandbox();
        let before = files_below(&nix.path("cache"));
        let line = || gc(&url(&nix)).flag("--delete").with("--orphan-hours", 0);
        sandbox
            .run(line().with("--root", "/etc"))
            .exits(2)
            .says(["is no store path"]);
        let gone = "/nix/store/0c0bhl1hk5hz6v0jfbmhzgqyxpsr5cba-gone";
        sandbox
            .run(line().with("--root", gone))
            .exits(2)
            .says(["none of the roots"]);
        fs::write(sandbox.path("roots"), "\n").unwrap();
        let empty = line().with("--roots-from", sandbox.path("roots").display());
        sandbox.run(empty).exits(2).says(["there are no roots"]);
        sandbox
            .run(line().with("--keep-days", 0))
            .exits(2)
            .says(["keeps nothing"]);
        assert_eq!(files_below(&nix.path("cache")), before);
    }
}

#[test]
fn a_bucket_loses_what_nobody_needs() {
    for nix in Nix::all("a_bucket_loses_what_nobody_needs")
        .into_iter()
        .take(1)
    {
        copied(&nix, "compression=zstd");
        let server = S3Server::start();
        for (file, content) in files_below(&nix.path("cache")) {
            let key = file.strip_prefix(nix.path("cache")).unwrap();
            server.put("team", key.to_str().unwrap(), &content);
        }
        server.put("team", "nar/loose.nar.zst", b"loose");
        let bucket = format!("s3://team?endpoint={}&region=us-east-1", server.url());
        let sandbox = with_keys();
        fs::write(
            sandbox.path("roots"),
            record(&nix, "b").1.store_path.to_string(),
        )
        .unwrap();
        let line = gc(&bucket)
            .with("--roots-from", sandbox.path("roots").display())
            .with("--orphan-hours", 0)
            .flag("--delete")
            .flag("--json");
        let done = sandbox.run(line).exits(0).json();
        assert_eq!(done["deleted"]["records"], 1, "{done}");
        assert_eq!(done["deleted"]["nars"], 2, "{done}");
        let found = sandbox.run(verify(&bucket).flag("--json")).exits(0).json();
        assert_eq!(found["records"], 2);
        assert_eq!(found["orphanedNars"]["keys"].as_array().unwrap().len(), 0);
    }
}

fn with_keys() -> Sandbox {
    Sandbox::new()
        .variable("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .variable("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
}

/// A server with an empty cache and unfinished uploads, in two pages. What it was asked for is noted.
fn unfinished() -> (String, Arc<Mutex<Vec<String>>>) {
    let upload = |key: &str, id: &str, begun: &str| {
        format!(
            "<Upload><Key>{key}</Key><UploadId>{id}</UploadId><Initiated>{begun}</Initiated></Upload>"
        )
    };
    let page = |rest: &str, uploads: &[String]| {
        format!(
            "<ListMultipartUploadsResult>{rest}{}</ListMultipartUploadsResult>",
            uploads.concat()
        )
    };
    let old = "2020-01-01T00:00:00.000Z";
    let first = page(
        "<IsTruncated>true</IsTruncated><NextKeyMarker>nar/1.nar.zst</NextKeyMarker>\
         <NextUploadIdMarker>id/1</NextUploadIdMarker>",
        &[
            upload("films/1.mkv", "id0", old),
            upload("nar/1.nar.zst", "id/1", old),
        ],
    );
    let second = page(
        "<IsTruncated>false</IsTruncated>",
        &[
            upload("nar/2.nar.xz", "id2", old),
            upload("nar/3.nar.xz", "id3", "2999-01-01T00:00:00Z"),
        ],
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let noted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head = lines.next().unwrap().unwrap();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let (status, body) = match head.as_str() {
                head if head.starts_with("DELETE ") => ("204 No Content", ""),
                head if head.contains("key-marker=") => ("200 OK", second.as_str()),
                head if head.contains("?uploads") => ("200 OK", first.as_str()),
                head if head.contains("list-type=2") => (
                    "200 OK",
                    "<ListBucketResult><Name>team</Name><IsTruncated>false</IsTruncated></ListBucketResult>",
                ),
                head if head.contains("nix-cache-info") => ("200 OK", "StoreDir: /nix/store\n"),
                _ => ("404 Not Found", ""),
            };
            noted.lock().unwrap().push(head);
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            // A client that has enough is no matter.
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    (url, asked)
}

#[test]
fn unfinished_uploads_that_are_old_are_given_up() {
    let ((server, asked), sandbox) = (unfinished(), with_keys());
    let bucket = format!("s3://team?endpoint={server}&region=us-east-1");
    let planned = sandbox.run(gc(&bucket).flag("--json")).exits(0).json();
    assert_eq!(
        planned["uploads"],
        serde_json::json!(["nar/1.nar.zst", "nar/2.nar.xz"])
    );
    let deletes = || {
        let asked = asked.lock().unwrap();
        let deletes = asked.iter().filter(|line| line.starts_with("DELETE "));
        deletes.cloned().collect::<BTreeSet<_>>()
    };
    assert!(deletes().is_empty());
    let done = sandbox
        .run(gc(&bucket).flag("--delete").flag("--json"))
        .exits(0)
        .json();
    assert_eq!(done["deleted"]["uploads"], 2, "{done}");
    let wanted = [
        "DELETE /team/nar/1.nar.zst?uploadId=id%2F1 HTTP/1.1",
        "DELETE /team/nar/2.nar.xz?uploadId=id2 HTTP/1.1",
    ];
    assert_eq!(deletes(), wanted.map(str::to_owned).into());
}
