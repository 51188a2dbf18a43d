//! A client that has no messages compiled in: it asks the server for them, as grpcurl does.

use std::collections::BTreeMap;

use prost::Message as _;
use prost::bytes::{Buf, BufMut};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::{Value, json};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_reflection::pb::{v1, v1alpha};

use super::{Served, World, shop};

/// Messages that are known only by their descriptor.
#[derive(Clone)]
pub(super) struct Dynamic(pub(super) MessageDescriptor);

impl Codec for Dynamic {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        self.clone()
    }

    fn decoder(&mut self) -> Self {
        self.clone()
    }
}

impl Encoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item.encode_to_vec());
        Ok(())
    }
}

impl Decoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        let read = DynamicMessage::decode(self.0.clone(), bytes);
        read.map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

/// What the server tells of itself.
pub(super) struct Reflected {
    pub(super) channel: Channel,
    pub(super) pool: DescriptorPool,
}

impl Reflected {
    /// Asks for the service's file and all that it needs.
    pub(super) async fn ask(served: &Served) -> Self {
        let client =
            v1::server_reflection_client::ServerReflectionClient::new(served.channel.clone());
        let request =
            |what| v1::ServerReflectionRequest { host: String::new(), message_request: Some(what) };
        use v1::server_reflection_request::MessageRequest as Ask;
        use v1::server_reflection_response::MessageResponse as Told;
        let ask = async |what: Ask| {
            let stream = tokio_stream::once(request(what));
            let mut told =
                client.clone().server_reflection_info(stream).await.unwrap().into_inner();
            told.message().await.unwrap().unwrap().message_response.unwrap()
        };
        let Told::ListServicesResponse(services) = ask(Ask::ListServices(String::new())).await
        else {
            panic!("no list of services");
        };
        let names: Vec<_> = services.service.into_iter().map(|service| service.name).collect();
        for name in ["shiftwork.v1.Scheduler", "grpc.health.v1.Health"] {
            assert!(names.iter().any(|known| known == name), "{names:?}");
        }
        let symbol = Ask::FileContainingSymbol("shiftwork.v1.Scheduler".to_owned());
        let mut wanted = vec![symbol];
        let mut files: BTreeMap<String, prost_types::FileDescriptorProto> = BTreeMap::new();
        while let Some(what) = wanted.pop() {
            let Told::FileDescriptorResponse(told) = ask(what).await else { panic!("no file") };
            for bytes in told.file_descriptor_proto {
                let file = prost_types::FileDescriptorProto::decode(&*bytes).unwrap();
                let unknown = file.dependency.iter().filter(|name| !files.contains_key(*name));
                wanted.extend(unknown.cloned().map(Ask::FileByFilename));
                files.insert(file.name().to_owned(), file);
            }
        }
        let mut pool = DescriptorPool::new();
        pool.add_file_descriptor_protos(files.into_values()).unwrap();
        Self { channel: served.channel.clone(), pool }
    }

    /// Calls a method that answers once, with JSON.
    pub(super) async fn call(&self, method: &str, request: Value) -> Result<Value, Status> {
        let service = self.pool.get_service_by_name("shiftwork.v1.Scheduler").unwrap();
        let method = service.methods().find(|known| known.name() == method).unwrap();
        let request = DynamicMessage::deserialize(method.input(), request).unwrap();
        let path = format!("/shiftwork.v1.Scheduler/{}", method.name()).parse().unwrap();
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.unwrap();
        let answer = grpc.unary(Request::new(request), path, Dynamic(method.output())).await?;
        Ok(serde_json::to_value(answer.into_inner()).unwrap())
    }
}

#[tokio::test]
async fn a_client_needs_no_messages_of_its_own() {
    let world = World::start().await;
    let served = Served::start(world.state()).await;
    shop(&served, &["foo"]).await;
    let client = Reflected::ask(&served).await;
    let made = client.call("Trigger", json!({"job": "foo", "key": "k", "env": {"A": "1"}})).await;
    assert_eq!(made.unwrap(), json!({"run": "foo@k", "created": true}));
    let run = client.call("GetRun", json!({"run": "foo@k"})).await.unwrap();
    assert_eq!(run["state"], "RUN_STATE_PENDING");
    assert!(run["createdAt"].as_str().unwrap().ends_with('Z'), "{run}");
    let status = client.call("GetStatus", json!({})).await.unwrap();
    assert_eq!((&status["jobs"], &status["pendingRuns"]), (&json!("1"), &json!("1")));
    let refused = client.call("GetJob", json!({"name": "nothing"})).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::NotFound);
    served.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn older_clients_ask_by_the_older_protocol() {
    let world = World::start().await;
    let served = Served::start(world.state()).await;
    let mut client =
        v1alpha::server_reflection_client::ServerReflectionClient::new(served.channel.clone());
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(
                "shiftwork.v1.WatchRequest".to_owned(),
            ),
        ),
    };
    let told = client.server_reflection_info(tokio_stream::once(request)).await.unwrap();
    let told = told.into_inner().message().await.unwrap().unwrap().message_response.unwrap();
    let v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(told) = told
    else {
        panic!("{told:?}");
    };
    let file = prost_types::FileDescriptorProto::decode(&*told.file_descriptor_proto[0]).unwrap();
    assert_eq!(file.name(), "shiftwork/v1/scheduler.proto");
    served.stop().await;
    world.stop().await;
}
