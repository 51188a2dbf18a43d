//! How messages go between the master and its agents: through their link, on their way, past what
//! disturbs them. What they bring about is the receiver's.

use super::mail::Mail;
use super::{Effect, Parts, Turn, link_wire};

// === impl Parts ===

impl Parts {
    /// Sends messages on their way until none is left, and delivers those that are there at once.
    pub(super) fn deliver(&mut self, turn: &mut Turn<'_>) {
        while let Some(mail) = turn.mail.pop_front() {
            let Some(mail) = self.depart(turn, mail) else { continue };
            let delay = &turn.config.link_delay;
            if let Some(mail) = self.transit.send(turn.now_ms, delay, turn.timers, mail) {
                self.arrive(turn, mail);
            }
        }
    }

    /// A message leaves, when its way is open and its receiver is one of this process.
    fn depart(&mut self, turn: &mut Turn<'_>, mail: Mail) -> Option<Mail> {
        match mail {
            Mail::ToMaster { from, message } if !turn.config.has_master => {
                let message = Box::new(link_wire::from_agent(&from, message));
                turn.effects.push(Effect::ToMaster { message });
                None
            }
            Mail::ToMaster { from, message } => {
                let message = self.links.pass_to_master(&from, message)?;
                Some(Mail::ToMaster { from, message })
            }
            Mail::ToAgent { to, message } => {
                let message = self.links.pass_to_agent(&to, message)?;
                if self.transit.loses(&message) {
                    self.break_connection(turn, &to);
                    return None;
                }
                if self.remote.contains(&to) {
                    let message = Box::new(link_wire::to_agent(&to, message));
                    turn.effects.push(Effect::ToAgent { agent: to, message });
                    return None;
                }
                Some(Mail::ToAgent { to, message })
            }
        }
    }

    fn arrive(&mut self, turn: &mut Turn<'_>, mail: Mail) {
        match mail {
            Mail::ToMaster { from, message } => {
                for (from, message) in self.disturbance.disturb(turn, from, message) {
                    self.master.on_agent_message(turn, &from, message);
                }
            }
            Mail::ToAgent { to, message } => {
                if let Some(agent) = self.agents.get_mut(&to) {
                    agent.on_master_message(turn, message);
                }
            }
        }
    }

    /// A message was under way for its time. What happened to the way meanwhile counts.
    pub(super) fn on_mail_due(&mut self, turn: &mut Turn<'_>, number: u64) {
        let mail = match self.transit.arrive(number) {
            Some(Mail::ToMaster { from, message }) => {
                let message = self.links.pass_to_master(&from, message);
                message.map(|message| Mail::ToMaster { from, message })
            }
            Some(Mail::ToAgent { to, message }) => {
                let message = self.links.pass_to_agent(&to, message);
                message.map(|message| Mail::ToAgent { to, message })
            }
            None => None,
        };
        if let Some(mail) = mail {
            self.arrive(turn, mail);
        }
    }
}
