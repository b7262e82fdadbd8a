module ambit.local/pause

go 1.24.0
