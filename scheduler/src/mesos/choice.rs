//! Which master is subscribed to next: those of a list in turn, or the one that ZooKeeper names. Absent:
//! when; the driver waits between tries.

use reqwest::Url;
use tokio::sync::watch;

use super::detect::Leader;

/// The way to the next master.
#[derive(Debug)]
pub(super) enum Choice {
    /// Each of a list in turn; one that does not lead tells who does. The list is not empty.
    InTurn { masters: Vec<Url>, next: usize },
    /// The leading one.
    Leading { leader: watch::Receiver<Option<Leader>>, chosen: Option<Leader> },
}

// === impl Choice ===

impl Choice {
    pub(super) fn in_turn(masters: Vec<Url>) -> Self {
        Self::InTurn { masters, next: 0 }
    }

    pub(super) fn leading(leader: watch::Receiver<Option<Leader>>) -> Self {
        Self::Leading { leader, chosen: None }
    }

    /// The master to try now; waits until one is known. `None` when none will ever be.
    pub(super) async fn choose(&mut self) -> Option<Url> {
        match self {
            Self::InTurn { masters, next } => masters.get(*next % masters.len()).cloned(),
            Self::Leading { leader, chosen } => {
                chosen.clone_from(&*leader.wait_for(Option::is_some).await.ok()?);
                chosen.as_ref().map(|leader| leader.url.clone())
            }
        }
    }

    /// The master that was chosen took no subscription.
    pub(super) fn failed(&mut self) {
        if let Self::InTurn { next, .. } = self {
            *next = next.wrapping_add(1);
        }
    }

    /// Waits until another master than the chosen one leads. That none is known is no such news: the
    /// chosen one may live while ZooKeeper does not.
    pub(super) async fn moved(&mut self) {
        if let Self::Leading { leader, chosen } = self {
            let other = |now: &Option<Leader>| now.is_some() && now != chosen;
            if leader.wait_for(other).await.is_ok() {
                return;
            }
        }
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn led_by(node: &str) -> Leader {
        let url = Url::parse("http://m:5050/").unwrap();
        Leader { node: node.to_owned(), url }
    }

    #[tokio::test]
    async fn the_next_of_a_list_is_tried_after_a_failure() {
        let url = |text| Url::parse(text).unwrap();
        let mut choice = Choice::in_turn(vec![url("http://a/"), url("http://b/")]);
        let mut chosen = Vec::new();
        for _ in 0..3 {
            chosen.push(choice.choose().await.unwrap().to_string());
            choice.failed();
        }
        assert_eq!(chosen, ["http://a/", "http://b/", "http://a/"]);
    }

    #[tokio::test]
    async fn a_leader_that_was_started_again_is_another_one_and_none_is_no_news() {
        let sender = watch::Sender::new(None);
        let mut choice = Choice::leading(sender.subscribe());
        sender.send_replace(Some(led_by("json.info_1")));
        assert!(choice.choose().await.is_some());
        let has_moved = async |choice: &mut Choice| {
            tokio::select! {
                biased;
                () = choice.moved() => true,
                () = std::future::ready(()) => false,
            }
        };
        assert!(!has_moved(&mut choice).await);
        sender.send_replace(None);
        assert!(!has_moved(&mut choice).await);
        sender.send_replace(Some(led_by("json.info_2")));
        assert!(has_moved(&mut choice).await);
        choice.choose().await;
        assert!(!has_moved(&mut choice).await, "it is the chosen one now");
    }
}
