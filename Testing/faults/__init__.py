"""One test per fault that a hostile user, file or computer once caused."""
