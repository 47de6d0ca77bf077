//! The token endpoint that all peers ask, in a process of its own: it answers with what the URL says.
//!
//! - `POST /<status>/<milliseconds>/<first>/<name>/…` is a grant of this name. It is counted, and answered with this status after so
//!   long. Where `first` is `ended`, the name's first grant is answered at once, with a token that has all but ended. Where the URL
//!   ends in `device`, it is a device that asks to be let in, which is no grant.
//! - `POST /oauth2/token` is a grant that nobody counts.
//! - `GET /count/<name>` says how many grants of this name came.
//!
//! It prints its port, and ends with its stdin.

use std::{
    collections::HashMap,
    convert::Infallible,
    io::{Read, Write},
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode, body::Bytes, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpSocket, time::sleep};

#[path = "../files.rs"]
mod files;

type Result<T = (), E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;
type Counts = Arc<Mutex<HashMap<String, u64>>>;

/// What a device waits for: nobody has to do anything.
const DEVICE: &str =
    r#"{"device_code":"0","user_code":"0","verification_uri":"http://127.0.0.1","expires_in":60,"interval":0}"#;

#[tokio::main]
async fn main() -> Result {
    files::as_many_as_allowed()?;
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    // A herd may come at once.
    let listener = socket.listen(16 * 1024)?;
    println!("{}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    std::thread::spawn(|| {
        // Whoever started us is gone.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let counts = Counts::default();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true)?;
        let counts = Arc::clone(&counts);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(&counts, request));
            // A connection that breaks is the client's own affair.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(counts: &Counts, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let words: Vec<_> = path.split('/').skip(1).collect();
    if let (&Method::GET, ["count", name]) = (request.method(), words.as_slice()) {
        let count = counts.lock().unwrap_or_else(PoisonError::into_inner).get(*name).copied().unwrap_or_default();
        return Ok(reply(200, count.to_string()));
    }
    // Read to its end, so that the connection can be used again.
    if request.into_body().collect().await.is_err() {
        return Ok(reply(400, String::new()));
    }
    let [status, milliseconds, first, name, ..] = words.as_slice() else { return Ok(reply(200, token(FOUR_HOURS))) };
    let (Ok(status), Ok(milliseconds)) = (status.parse(), milliseconds.parse()) else {
        return Ok(reply(404, String::new()));
    };
    let device = words.last() == Some(&"device");
    let is_first = {
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry((*name).to_owned()).or_default();
        *count += u64::from(!device);
        *count == u64::from(!device)
    };
    if is_first && *first == "ended" {
        return Ok(reply(200, if device { DEVICE.to_owned() } else { token(1) }));
    }
    sleep(Duration::from_millis(milliseconds)).await;
    Ok(reply(
        status,
        match status {
            200 if device => DEVICE.to_owned(),
            200 => token(FOUR_HOURS),
            _ => FAILURE.to_owned(),
        },
    ))
}

const FOUR_HOURS: u64 = 4 * 3600;
const FAILURE: &str = r#"{"error":"temporarily_unavailable","error_description":"later","error_codes":[]}"#;

/// A reply as all of them read it, with tokens as long as Wix's.
fn token(expires_in: u64) -> String {
    format!(
        r#"{{"access_token":"{:0>1000}","refresh_token":"{:0>700}","token_type":"Bearer","expires_in":{expires_in}}}"#,
        "a", "r"
    )
}

fn reply(status: u16, body: String) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::from(body));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    reply
}
