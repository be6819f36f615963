//! Access keys of SSO and of metadata services, over the program's own transport.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{Receiver, channel};

use crate::home::{CANARY, Home};

/// A server that answers each request by its method and path, and tells its head in small letters.
fn server(answer: fn(&str) -> String) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (heads, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(&stream).lines().map(|line| line.unwrap());
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let asked = head[0].trim_end_matches(" HTTP/1.1");
            let body = answer(asked);
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = heads.send(head.join("\n").to_lowercase());
        }
    });
    (url, received)
}

fn configured(source: &str) -> Home {
    let home = Home::new();
    home.configure(&format!(
        "[credential.keys]\nsource = {source}\nscheme = \"aws-sigv4\"\norigins = [\"https://b.example\"]\n"
    ));
    home
}

#[test]
fn the_session_of_a_profile_is_exchanged_at_the_access_portal() {
    let (url, heads) = server(|asked| {
        assert_eq!(
            asked,
            "GET /federation/credentials?role_name=ReadOnly&account_id=123456789012"
        );
        format!(
            r#"{{"roleCredentials":{{"accessKeyId":"ASIA","secretAccessKey":"{CANARY}","sessionToken":"t","expiration":32503680000000}}}}"#
        )
    });
    let home = configured("{ aws = \"work\" }");
    // By the SHA-1 of `corp`.
    let cache = home.path(".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json");
    fs::create_dir_all(cache.parent().unwrap()).unwrap();
    let session = format!(r#"{{"accessToken":"{CANARY}","expiresAt":"2999-01-01T00:00:00Z"}}"#);
    fs::write(&cache, session).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(
        home.path(".aws/config"),
        "[profile work]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = ReadOnly\n\
         [sso-session corp]\nsso_region = eu-west-1\n",
    )
    .unwrap();
    let variables = [("AWS_ENDPOINT_URL_SSO", url.as_str())];
    let told = home
        .run_with(&variables, &["-vvv", "credential", "test", "keys"])
        .succeeds();
    assert!(told.contains("keys: aws:work has a secret"), "{told}");
    let head = heads.recv().unwrap();
    let header = format!("x-amz-sso_bearer_token: {CANARY}");
    assert!(head.contains(&header), "{head}");
}

#[test]
fn a_metadata_service_is_asked_where_the_configuration_says_so_and_nowhere_else() {
    let (url, heads) = server(|asked| {
        let keys = format!(
            r#"{{"AccessKeyId":"ASIA","SecretAccessKey":"{CANARY}","Token":"t","Expiration":"2999-01-01T00:00:00Z"}}"#
        );
        match asked {
            "PUT /latest/api/token" => CANARY.to_owned(),
            "GET /latest/meta-data/iam/security-credentials/" => "role".to_owned(),
            "GET /latest/meta-data/iam/security-credentials/role" => keys,
            other => panic!("{other}"),
        }
    });
    let variables = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str())];
    let home = configured("{ aws-imds = true }");
    let told = home
        .run_with(&variables, &["-vvv", "credential", "test", "keys"])
        .succeeds();
    assert!(told.contains("keys: aws-imds has a secret"), "{told}");
    assert!(heads.recv().unwrap().contains("ttl-seconds: 60"));
    for _ in 0..2 {
        let head = heads.recv().unwrap();
        let header = format!("x-aws-ec2-metadata-token: {CANARY}");
        assert!(head.contains(&header), "{head}");
    }
    // The other sources of AWS's do not end there.
    let home = configured("{ aws = true }");
    home.run_with(&variables, &["credential", "test", "keys"])
        .fails(2);
    assert!(heads.try_recv().is_err());
}
