use super::*;

#[test]
fn a_cause_is_said_once() {
    let address = "/nowhere".to_owned();
    let error = ClientError::Open { path: address.into(), source: std::io::ErrorKind::NotFound.into() };
    assert_eq!(chain(&error).matches("entity not found").count(), 1);
    let error = ClientError::Arrow(ArrowError::ParseError("odd".to_owned()));
    assert_eq!(chain(&error), "decode the streamed rows: Parser error: odd");
}

/// What a caller names may be of any length.
#[test]
fn names_of_any_length_make_short_messages() {
    let long = || "n".repeat(1 << 20);
    let unreached = ClientError::NoAgent {
        address: long(),
        what: long(),
        passed_over: long(),
        advice: long(),
        cause: "gone".into(),
    };
    for error in [
        ClientError::Address { found: long() },
        ClientError::NoPort { found: long(), host: long() },
        unreached,
        ClientError::TokenExposed { address: long() },
        ClientError::Unavailable { address: long(), message: "gone".to_owned() },
        ClientError::Aborted { name: long() },
        ClientError::NoColumn { frame: "a@1".to_owned(), column: long(), columns: "none".to_owned() },
        ClientError::NotYet { name: long(), waited: std::time::Duration::from_secs(1) },
    ] {
        let told = error.to_string();
        assert!(told.len() < 1200 && told.contains('…'), "{} bytes: {told:.300}", told.len());
    }
}
