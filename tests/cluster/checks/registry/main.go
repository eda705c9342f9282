// A container registry as others run it, with a folder as its only storage: the program `registry` of the same module is
// built with the clients of three clouds.
package main

import (
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"

	"github.com/distribution/distribution/v3/registry"
)

func main() {
	_ = registry.RootCmd.Execute()
}
