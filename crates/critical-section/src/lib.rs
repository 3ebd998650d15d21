//! pysync-critical-section
