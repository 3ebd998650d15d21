//! pysync-parking-lot
