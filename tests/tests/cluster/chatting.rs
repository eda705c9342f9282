//! People of two protocols in one room, over both gateways.

use std::time::Duration;

use crate::lobby::Lobby;

const SECONDS: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn fifty_and_fifty_people_over_both_gateways_see_two_thousand_messages_once_and_in_one_order() {
    let lobby = Lobby::shared().await;
    let auditing = lobby.audit(lobby.plan(100, 100.0, SECONDS));
    tokio::time::sleep(SECONDS / 2).await;
    let connections = lobby.connections().await;
    let report = auditing.await.unwrap().unwrap();
    lobby.assert_clean(&report);
    assert_eq!(connections.values().sum::<u32>(), 100, "{connections:?}");
    assert!(connections.len() == 2 && connections.values().all(|n| *n >= 10), "one-sided: {connections:?}");
    assert_eq!(report.verdict.acknowledged, 2000, "{report}");
    assert_eq!(report.verdict.shown, 2000 * 100, "{report}");
    assert_eq!(report.reconnects, 0, "{report}");
}
