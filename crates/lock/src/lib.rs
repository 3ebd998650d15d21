//! pysync-lock
