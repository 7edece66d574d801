//! Credentials of a client, and the agents that it believes over TLS.

use std::path::{Path, PathBuf};

use farrow_region::trust::{Guard, read_file};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};
use tonic::{Request, Status};

use crate::error::ClientError;

/// Environment variables.
const CA: &str = "FARROW_TLS_CA";
const CERTIFICATE: &str = "FARROW_TLS_CERT";
const KEY: &str = "FARROW_TLS_KEY";
const TOKEN: &str = "FARROW_TOKEN";
const TOKEN_FILE: &str = "FARROW_TOKEN_FILE";

/// Bytes of a file of these; longer ones are something else.
const MAX_FILE: u64 = 1 << 20;

/// Credentials of a client, and the agents that it believes over TLS. Over the agent's unix socket the kernel tells
/// who it is; a token adds to that.
#[derive(Clone, Default)]
pub struct Credentials {
    /// PEM file with the certificates of the CAs that agents' certificates are signed by. Needed for `https://`: no
    /// other CA is believed.
    pub ca: Option<PathBuf>,
    /// PEM file with this client's certificate, and those between it and the agent's `client-ca`.
    pub certificate: Option<PathBuf>,
    /// PEM file with the private key of `certificate`.
    pub key: Option<PathBuf>,
    /// A token that the agent knows.
    pub token: Option<String>,
}

impl Credentials {
    /// Returns what the environment names: `$FARROW_TLS_CA`, `$FARROW_TLS_CERT` and `$FARROW_TLS_KEY`; `$FARROW_TOKEN`,
    /// or the first line of the file `$FARROW_TOKEN_FILE`. An empty variable is none.
    ///
    /// # Errors
    /// [`ClientError::Credentials`] for a token file that cannot be read, or that every user of this host can read.
    pub fn from_environment() -> Result<Self, ClientError> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let token = match (std::env::var(TOKEN), variable(TOKEN_FILE)) {
            (Ok(token), _) if !token.is_empty() => Some(token),
            (_, Some(file)) => {
                let text = read(Path::new(&file), TOKEN_FILE, Guard::Secret)?;
                Some(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned())
            }
            _ => None,
        };
        let file = |name| variable(name).map(PathBuf::from);
        Ok(Self { ca: file(CA), certificate: file(CERTIFICATE), key: file(KEY), token })
    }

    /// Returns what goes into each request.
    pub(crate) fn bearer(&self) -> Result<Bearer, ClientError> {
        let Some(token) = &self.token else { return Ok(Bearer(None)) };
        let unusable = |problem| ClientError::Credentials { what: "the token".to_owned(), problem };
        if let Some(odd) = token.chars().position(|character| !character.is_ascii_graphic()) {
            return Err(unusable(format!(
                "character {} of {} is a space or none that can be printed: a token is one word of ASCII characters \
                 (${TOKEN}, or the first line of ${TOKEN_FILE})",
                odd + 1,
                token.chars().count()
            )));
        }
        let value = format!("Bearer {token}").parse();
        let mut value: MetadataValue<Ascii> =
            value.map_err(|_| unusable("it cannot stand in a header".to_owned()))?;
        value.set_sensitive(true);
        Ok(Bearer(Some(value)))
    }

    /// TLS to an agent.
    pub(crate) fn tls(&self) -> Result<ClientTlsConfig, ClientError> {
        let missing = |what: &str, problem: &str| ClientError::Credentials {
            what: format!("${what}"),
            problem: problem.to_owned(),
        };
        let ca = self.ca.as_deref().ok_or_else(|| {
            missing(CA, "it is not set: it names the file with the CA that signed the agent's certificate")
        })?;
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca, CA, Guard::Rules)?));
        match (self.certificate.as_deref(), self.key.as_deref()) {
            (Some(certificate), Some(key)) => {
                let certificate = read(certificate, CERTIFICATE, Guard::Rules)?;
                Ok(tls.identity(Identity::from_pem(certificate, read(key, KEY, Guard::Secret)?)))
            }
            (None, None) => Ok(tls),
            (Some(_), None) => Err(missing(KEY, "it is not set, but the certificate's key is needed")),
            (None, Some(_)) => {
                Err(missing(CERTIFICATE, "it is not set, but the key's certificate is needed"))
            }
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { ca, certificate, key, token } = self;
        let token = token.as_ref().map(|_| "…");
        f.debug_struct("Credentials")
            .field("ca", ca)
            .field("certificate", certificate)
            .field("key", key)
            .field("token", &token)
            .finish()
    }
}

/// Puts the token into each request.
#[derive(Debug, Clone)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    pub(crate) fn is_some(&self) -> bool {
        self.0.is_some()
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

fn read(path: &Path, variable: &str, guard: Guard) -> Result<Vec<u8>, ClientError> {
    read_file(path, MAX_FILE, guard).map_err(|problem| ClientError::Credentials {
        what: format!("${variable}"),
        problem: problem.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word() {
        let bearer =
            |token: &str| Credentials { token: Some(token.to_owned()), ..Credentials::default() }.bearer();
        assert!(bearer("0123456789abcdef").unwrap().is_some());
        for (token, told) in
            [("two words", "character 4 of 9 is a space"), ("line\n", "character 5 of 5"), ("ä", "1 of 1")]
        {
            let refused = bearer(token).unwrap_err().to_string();
            assert!(refused.contains(told) && !refused.contains(token), "{refused}");
        }
    }
}
