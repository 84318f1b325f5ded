use proptest::prelude::*;

use super::*;

#[test]
fn every_request_is_recognised() {
    let unsupported = ApiSubject::Unsupported;
    let table = [
        ("INFO", ApiSubject::AccountInfo),
        ("STREAM.CREATE.S", ApiSubject::StreamCreate("S")),
        ("STREAM.UPDATE.S", ApiSubject::StreamUpdate("S")),
        ("STREAM.NAMES", ApiSubject::StreamNames),
        ("STREAM.LIST", ApiSubject::StreamList),
        ("STREAM.INFO.S", ApiSubject::StreamInfo("S")),
        ("STREAM.INFO.NAMES", ApiSubject::StreamInfo("NAMES")),
        ("STREAM.DELETE.S", ApiSubject::StreamDelete("S")),
        ("STREAM.PURGE.S", ApiSubject::StreamPurge("S")),
        ("STREAM.MSG.GET.S", ApiSubject::MessageGet("S")),
        ("STREAM.MSG.DELETE.S", ApiSubject::MessageDelete("S")),
        ("STREAM.PEER.REMOVE.S", ApiSubject::StreamPeerRemove("S")),
        ("STREAM.LEADER.STEPDOWN.S", ApiSubject::StreamLeaderStepDown("S")),
        ("CONSUMER.NAMES.S", ApiSubject::ConsumerNames("S")),
        ("CONSUMER.LIST.S", ApiSubject::ConsumerList("S")),
        ("CONSUMER.INFO.S.C", ApiSubject::ConsumerInfo("S", "C")),
        ("CONSUMER.DELETE.S.C", ApiSubject::ConsumerDelete("S", "C")),
        ("CONSUMER.LEADER.STEPDOWN.S.C", ApiSubject::ConsumerLeaderStepDown("S", "C")),
        ("CONSUMER.MSG.NEXT.S.C", ApiSubject::ConsumerNext("S", "C")),
        ("DIRECT.GET.S", ApiSubject::DirectGet("S")),
        ("DIRECT.GET.S.$KV.b.k", ApiSubject::DirectGetLast("S", "$KV.b.k")),
        ("META.LEADER.STEPDOWN", ApiSubject::MetaLeaderStepDown),
        ("SERVER.REMOVE", ApiSubject::ServerRemove),
        ("STREAM.SNAPSHOT.S", unsupported(UnsupportedApi::StreamSnapshot)),
        ("STREAM.RESTORE.S", unsupported(UnsupportedApi::StreamRestore)),
        ("STREAM.PEER.EVACUATE.S", unsupported(UnsupportedApi::StreamPeerEvacuate)),
        ("STREAM.CANCEL_MOVE.S", unsupported(UnsupportedApi::StreamCancelMove)),
        ("CONSUMER.PAUSE.S.C", unsupported(UnsupportedApi::ConsumerPause)),
        ("CONSUMER.UNPIN.S.C", unsupported(UnsupportedApi::ConsumerUnpin)),
        ("CONSUMER.RESET.S.C", unsupported(UnsupportedApi::ConsumerReset)),
        ("SERVER.EVACUATE", unsupported(UnsupportedApi::ServerEvacuate)),
        ("META.RESCUE", unsupported(UnsupportedApi::MetaRescue)),
        ("ACCOUNT.PURGE.A", unsupported(UnsupportedApi::AccountPurge)),
        ("ACCOUNT.STREAM.MOVE.A.S", unsupported(UnsupportedApi::AccountStreamMove)),
        ("ACCOUNT.STREAM.CANCEL_MOVE.A.S", unsupported(UnsupportedApi::AccountStreamCancelMove)),
    ];
    for (request, expected) in table {
        assert_eq!(ApiSubject::parse(&format!("$JS.API.{request}")), Some(expected), "{request}");
        let in_domain = format!("$JS.hub.API.{request}");
        assert_eq!(ApiSubject::parse(&in_domain), None, "{in_domain}");
        assert_eq!(ApiSubject::parse_in_domain(&in_domain, "hub"), Some(expected), "{in_domain}");
        assert_eq!(ApiSubject::parse_in_domain(&in_domain, "hu"), None, "{in_domain}");
    }
}

#[test]
fn all_forms_of_consumer_creation_are_told_apart() {
    let table = [
        ("CONSUMER.CREATE.S", CreateForm::Unnamed),
        ("CONSUMER.CREATE.S.C", CreateForm::Named { name: "C", filter: None }),
        ("CONSUMER.CREATE.S.C.a.*.>", CreateForm::Named { name: "C", filter: Some("a.*.>") }),
        ("CONSUMER.DURABLE.CREATE.S.C", CreateForm::Durable { name: "C" }),
    ];
    for (request, form) in table {
        let subject = format!("$JS.API.{request}");
        let expected = ApiSubject::ConsumerCreate { stream: "S", form };
        assert_eq!(ApiSubject::parse(&subject), Some(expected), "{request}");
    }
}

#[test]
fn what_is_not_carried_out_is_told() {
    let error = UnsupportedApi::StreamSnapshot.error();
    assert_eq!(error.err_code, 10064);
    assert_eq!(error.description, "snapshot failed: not supported by this server");
    assert_eq!(UnsupportedApi::ConsumerPause.error(), ErrorKind::BadRequest.error());
}

#[test]
fn everything_else_is_not_a_request() {
    for request in [
        "",
        "INFO.",
        "INFO.x",
        "STREAM",
        "STREAM.",
        "STREAM.CREATE",
        "STREAM.CREATE.",
        "STREAM.CREATE.a.b",
        "STREAM.MSG.GET",
        "STREAM.TEMPLATE.CREATE.S",
        "STREAM.NAMES.x",
        "CONSUMER.CREATE",
        "CONSUMER.CREATE.",
        "CONSUMER.CREATE.S.",
        "CONSUMER.CREATE.S.C.",
        "CONSUMER.CREATE.S.C.a..b",
        "CONSUMER.DURABLE.CREATE.S",
        "CONSUMER.DURABLE.CREATE.S.C.x",
        "CONSUMER.INFO.S",
        "CONSUMER.INFO.S.C.x",
        "CONSUMER.INFO..C",
        "CONSUMER.NAMES",
        "CONSUMER.NAMES.a.b",
        "DIRECT.GET",
        "DIRECT.GET.",
        "DIRECT.GET.S.",
        "DIRECT.PUT.S",
        "META.LEADER",
        "SERVER.REMOVE.x",
        "ACCOUNT.PURGE",
        "ACCOUNT.PURGE.a.b",
        "ACCOUNT.STREAM.MOVE.A",
        "stream.names",
    ] {
        assert_eq!(ApiSubject::parse(&format!("$JS.API.{request}")), None, "{request:?}");
    }
    assert_eq!(ApiSubject::parse("$JS.ACK.S.C.1.1.1.1.1"), None);
}

proptest! {
    #[test]
    fn no_subject_panics(subject in r"(\$JS\.API\.)?((STREAM|CONSUMER|DIRECT|ACCOUNT|CREATE|MSG|S)?\.?){0,8}") {
        let _ = ApiSubject::parse(&subject);
    }
}
