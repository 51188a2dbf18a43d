//! Reads the output files of tasks from the agents that hold them, over the agent's `/files/read`.
//! Absent: what to say when an agent is gone; that is with whoever asked.

mod book;

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use shiftwork_engine::ids::{AgentId, AppName, ExecutorId, FrameworkId, TaskId};

pub use book::{AgentAddress, AgentBook, Scheme};

use crate::mesos::Credentials;
use crate::tls::ClientTls;

/// How long an agent may take to answer: it reads a few pages from its disk.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);

/// The most that an agent gives at a time, bytes: sixteen pages, whatever is asked for.
pub const CHUNK_LEN_MAX: u64 = 64 * 1024;

/// The longest answer that is read, bytes: a chunk of which each byte is written as a JSON escape.
const ANSWER_LEN_MAX: usize = 6 * CHUNK_LEN_MAX as usize + 1024;

/// What follows the name of a file that was put aside when it had grown too long: the ending that our
/// executor and Mesos' own log rotation give it.
const ROTATED: &str = ".1";

/// One output of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// What the work wrote to stdout, or the body of an answer.
    Stdout,
    /// What it wrote to stderr.
    Stderr,
}

/// Where a file is.
#[derive(Debug, Clone)]
pub struct FilePlace {
    agent: AgentId,
    /// Where it may be; the first that exists is it.
    paths: [String; 2],
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Chunk {
    /// Bytes that are no text are question marks, so that the length is that of the file's part.
    pub data: String,
    /// Where the part begins; the file's length, when that was asked for.
    pub offset: u64,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// No offer of this agent was seen since this scheduler leads.
    #[error(
        "the address of agent {0} is not known: it has offered nothing since this scheduler leads"
    )]
    UnknownAgent(AgentId),
    /// There is no such file, or not any more.
    #[error("agent {0} has no such file: the task wrote none, or its sandbox was removed")]
    NoFile(AgentId),
    /// The agent does not answer.
    #[error("agent {agent} at {address} cannot be asked")]
    Unreachable {
        /// The agent.
        agent: AgentId,
        /// Where it was asked.
        address: String,
        /// What the network said.
        #[source]
        source: reqwest::Error,
    },
    /// The agent lets nobody read who does not say who he is, or not us.
    #[error(
        "agent {agent} refused with {status}: it asks for a principal that may read this sandbox; \
         check --mesos-principal and --mesos-secret-file"
    )]
    Forbidden {
        /// The agent.
        agent: AgentId,
        /// Its status.
        status: StatusCode,
    },
    /// The agent answers something else than a file.
    #[error("agent {agent} answered {status} instead of the file")]
    Refused {
        /// The agent.
        agent: AgentId,
        /// Its status.
        status: StatusCode,
    },
    /// The answer is not what `/files/read` gives.
    #[error("the answer of agent {agent} is not that of /files/read: {problem}")]
    Foreign {
        /// The agent.
        agent: AgentId,
        /// What is wrong with it.
        problem: String,
    },
}

/// The way to the files of all agents.
#[derive(Debug, Clone)]
pub struct AgentFiles {
    client: Client,
    book: AgentBook,
}

// === impl Stream ===

impl Stream {
    /// The file's name in the task's directory.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

// === impl FilePlace ===

impl FilePlace {
    /// The file of one output of a task. The path is the one under which an agent shows the sandbox
    /// of an executor that runs or ran last: `/frameworks/{framework}/executors/{executor}/runs/latest`;
    /// below it our executor, of that `generation`, keeps `tasks/{task}`. Mesos' own has the id of its task, and its files are
    /// the sandbox's. `None` when the task's id names no agent.
    pub fn of(
        framework: &FrameworkId,
        app: &AppName,
        generation: u32,
        task: &TaskId,
        stream: Stream,
    ) -> Option<Self> {
        let agent = task.as_str().rsplit(shiftwork_engine::ids::ID_DELIMITER).nth(1)?;
        let agent = AgentId::new(agent);
        let executor = ExecutorId::of_generation(app, &agent, generation);
        let sandbox =
            |executor| format!("/frameworks/{framework}/executors/{executor}/runs/latest");
        let name = stream.file_name();
        let of_app = format!("{}/tasks/{task}/{name}", sandbox(executor.as_str()));
        let of_command = format!("{}/{name}", sandbox(task.as_str()));
        Some(Self { agent, paths: [of_app, of_command] })
    }

    /// The file with what was written before the one of this place was begun anew. Often there is none.
    #[must_use]
    pub fn rotated(&self) -> Self {
        let paths = self.paths.each_ref().map(|path| format!("{path}{ROTATED}"));
        Self { agent: self.agent.clone(), paths }
    }
}

// === impl AgentFiles ===

impl AgentFiles {
    /// A way to the agents in `book`, by what they ask of who talks to them.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(
        book: AgentBook,
        tls: &ClientTls,
        credentials: Option<&Credentials>,
    ) -> Result<Self, reqwest::Error> {
        let mut headers = HeaderMap::new();
        if let Some(authorization) = credentials.and_then(Credentials::authorization) {
            headers.insert(AUTHORIZATION, authorization);
        }
        let builder = Client::builder()
            .default_headers(headers)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_WAIT_MAX);
        Ok(Self { client: tls.apply(builder).build()?, book })
    }

    /// Reads up to `length` bytes from `offset`; past the end there is nothing.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub async fn read(
        &self,
        place: &FilePlace,
        offset: u64,
        length: u64,
    ) -> Result<Chunk, FilesError> {
        let length = length.min(CHUNK_LEN_MAX).to_string();
        self.find(place, &offset.to_string(), &length).await
    }

    /// The length of a file, bytes.
    ///
    /// # Errors
    /// Why it cannot be known.
    pub async fn len(&self, place: &FilePlace) -> Result<u64, FilesError> {
        Ok(self.find(place, "-1", "-1").await?.offset)
    }

    async fn find(
        &self,
        place: &FilePlace,
        offset: &str,
        length: &str,
    ) -> Result<Chunk, FilesError> {
        let [of_app, of_command] = &place.paths;
        match self.ask(place, of_app, offset, length).await {
            Err(FilesError::NoFile(_)) => self.ask(place, of_command, offset, length).await,
            found => found,
        }
    }

    async fn ask(
        &self,
        place: &FilePlace,
        path: &str,
        offset: &str,
        length: &str,
    ) -> Result<Chunk, FilesError> {
        let agent = || place.agent.clone();
        let address =
            self.book.find(&place.agent).ok_or_else(|| FilesError::UnknownAgent(agent()))?;
        let unreachable = |source: reqwest::Error| FilesError::Unreachable {
            agent: agent(),
            address: address.to_string(),
            source: source.without_url(),
        };
        let foreign = |problem: String| FilesError::Foreign { agent: agent(), problem };
        let query = [("path", path), ("offset", offset), ("length", length)];
        let url = Url::parse_with_params(&format!("{}/files/read", address.origin()), query)
            .map_err(|error| foreign(error.to_string()))?;
        let mut answer = self.client.get(url).send().await.map_err(unreachable)?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err(FilesError::NoFile(agent())),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(FilesError::Forbidden { agent: agent(), status });
            }
            status => return Err(FilesError::Refused { agent: agent(), status }),
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > ANSWER_LEN_MAX {
                return Err(foreign(format!("it has more than {ANSWER_LEN_MAX} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|error| foreign(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> FilePlace {
        let task = TaskId::new("job@-@0@-@READY@-@m-S1@-@uuid");
        let app = AppName::parse("app").unwrap();
        FilePlace::of(&FrameworkId::new("m-0001"), &app, 1, &task, Stream::Stderr).unwrap()
    }

    /// An agent that gives one answer, and what it was asked.
    async fn ask(answer: &'static str) -> (Result<Chunk, FilesError>, String) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::task::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let len = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&request[..len]).into_owned()
        });
        let book = AgentBook::default();
        let address = AgentAddress::new(Scheme::Http, "127.0.0.1", address.port()).unwrap();
        book.learn([(AgentId::new("m-S1"), address)]);
        let files = AgentFiles::new(book, &ClientTls::default(), None).unwrap();
        (files.read(&place(), 7, 1_000_000).await, serving.await.unwrap())
    }

    #[tokio::test]
    async fn a_file_is_read_as_a_real_agent_gives_it() {
        let (chunk, request) = ask(
            "HTTP/1.1 200 OK\r\ncontent-length: 36\r\n\r\n{\"data\":\"hello-stdout\\n\",\"offset\":7}\n",
        )
        .await;
        assert_eq!(chunk.unwrap(), Chunk { data: "hello-stdout\n".to_owned(), offset: 7 });
        let path = "/frameworks/m-0001/executors/app@-@m-S1/runs/latest/tasks/\
                    job@-@0@-@READY@-@m-S1@-@uuid/stderr";
        let encoded = path.replace('/', "%2F").replace('@', "%40");
        let expected = format!("GET /files/read?path={encoded}&offset=7&length=65536 HTTP/1.1\r\n");
        assert!(request.starts_with(&expected), "{request}");
    }

    #[tokio::test]
    async fn what_cannot_be_read_says_why() {
        let answer = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
        assert!(matches!(ask(answer).await.0, Err(FilesError::Forbidden { .. })));
        let answer = "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n";
        assert!(matches!(ask(answer).await.0, Err(FilesError::Refused { .. })));
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]";
        assert!(matches!(ask(answer).await.0, Err(FilesError::Foreign { .. })));
        let files = AgentFiles::new(AgentBook::default(), &ClientTls::default(), None).unwrap();
        let unknown = files.len(&place()).await;
        assert!(matches!(unknown, Err(FilesError::UnknownAgent(_))));
    }
}
