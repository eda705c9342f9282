//! An error of the API server as people should read it: its own sentence, not the debug form of its answer.

use std::fmt;

/// A failed request to the API server.
#[derive(Debug)]
pub struct ApiError(kube::Error);

impl ApiError {
    /// The HTTP status code, if the API server answered.
    pub fn code(&self) -> Option<u16> {
        match &self.0 {
            kube::Error::Api(status) => Some(status.code),
            _ => None,
        }
    }

    /// The object to change has changed or gone in the meantime; the next pass sees it as it is.
    pub fn is_outdated(&self) -> bool {
        matches!(self.code(), Some(404 | 409))
    }
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            // An answer that is no Status has neither a message nor a reason worth showing.
            kube::Error::Api(status) if status.message.is_empty() => {
                write!(f, "the API server answered {}", status.code)
            }
            kube::Error::Api(status) => f.write_str(&status.message),
            other => other.fmt(f),
        }
    }
}

impl std::error::Error for ApiError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn a_refusal_is_shown_as_the_api_server_words_it() {
        let status = Status { code: 422, message: "Service \"a\" is invalid".into(), ..Status::default() };
        let error = ApiError::from(kube::Error::Api(Box::new(status)));
        assert_eq!(error.to_string(), "Service \"a\" is invalid");
        assert_eq!(error.code(), Some(422));
    }

    #[test]
    fn an_answer_without_words_is_shown_by_its_code_alone() {
        let status = Status { code: 404, reason: "Failed to parse error data".into(), ..Status::default() };
        assert_eq!(ApiError::from(kube::Error::Api(Box::new(status))).to_string(), "the API server answered 404");
    }
}
