//! pysync
