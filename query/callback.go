package query

/*
#include <stdlib.h>

void siltstoneBufferBind(void *);
void siltstoneBufferInit(void *);
void siltstoneBufferFill(void *, void *);
void siltstoneRelease(void *);

typedef void (*siltstone_callback)(void *);
typedef void (*siltstone_fill_callback)(void *, void *);
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime/cgo"
	"runtime/debug"
	"unsafe"

	"github.com/duckdb/duckdb-go/v2/mapping"
)

// This file is the border to C. DuckDB calls the exported functions from its threads. A Go
// value crosses as a box: C memory that holds a cgo.Handle. A panic must not cross at all;
// it becomes an error of the query.

// newBox puts a value into a box, which siltstoneRelease frees.
func newBox(v any) unsafe.Pointer {
	box := C.malloc(C.size_t(unsafe.Sizeof(cgo.Handle(0))))
	*(*cgo.Handle)(box) = cgo.NewHandle(v)
	return box
}

func openBox[T any](box unsafe.Pointer) T { return (*(*cgo.Handle)(box)).Value().(T) }

func releaseCallback() unsafe.Pointer {
	return unsafe.Pointer(C.siltstone_callback(C.siltstoneRelease))
}

// registerBufferFunction makes the table function known to the database of conn, whose
// closing ends its use of the registry.
func registerBufferFunction(conn mapping.Connection, registry *bufferRegistry) error {
	f := mapping.CreateTableFunction()
	defer mapping.DestroyTableFunction(&f)
	mapping.TableFunctionSetName(f, bufferFunction)
	handle := mapping.CreateLogicalType(mapping.TypeVarchar)
	mapping.TableFunctionAddParameter(f, handle)
	mapping.DestroyLogicalType(&handle)
	mapping.TableFunctionSupportsProjectionPushdown(f, true)
	mapping.TableFunctionSetExtraInfo(f, newBox(registry), releaseCallback())
	mapping.TableFunctionSetBind(f, unsafe.Pointer(C.siltstone_callback(C.siltstoneBufferBind)))
	mapping.TableFunctionSetInit(f, unsafe.Pointer(C.siltstone_callback(C.siltstoneBufferInit)))
	mapping.TableFunctionSetFunction(f, unsafe.Pointer(C.siltstone_fill_callback(C.siltstoneBufferFill)))
	if mapping.RegisterTableFunction(conn, f) == mapping.StateError {
		return errors.New("query: duckdb refuses the buffer function")
	}
	return nil
}

//export siltstoneRelease
func siltstoneRelease(box unsafe.Pointer) {
	(*(*cgo.Handle)(box)).Delete()
	C.free(box)
}

//export siltstoneBufferBind
func siltstoneBufferBind(p unsafe.Pointer) {
	info := mapping.BindInfo{Ptr: p}
	defer func() {
		if fault := recover(); fault != nil {
			mapping.BindSetError(info, fmt.Sprintf("%v", fault))
		}
	}()
	argument := mapping.BindGetParameter(info, 0)
	handle := mapping.GetVarchar(argument)
	mapping.DestroyValue(&argument)
	source, ok := openBox[*bufferRegistry](mapping.BindGetExtraInfo(info)).find(handle)
	if !ok {
		mapping.BindSetError(info, "unknown handle")
		return
	}
	source.bind(info)
	mapping.BindSetBindData(info, newBox(source), releaseCallback())
}

//export siltstoneBufferInit
func siltstoneBufferInit(p unsafe.Pointer) {
	info := mapping.InitInfo{Ptr: p}
	source := openBox[*bufferSource](mapping.InitGetBindData(info))
	defer func() {
		if fault := recover(); fault != nil {
			mapping.InitSetError(info, source.fail(withStack(fault)).Error())
		}
	}()
	projection := make([]uint64, mapping.InitGetColumnCount(info))
	for i := range projection {
		projection[i] = uint64(mapping.InitGetColumnIndex(info, mapping.IdxT(i)))
	}
	scan, err := source.newScan(projection)
	if err != nil {
		mapping.InitSetError(info, source.fail(err).Error())
		return
	}
	mapping.InitSetMaxThreads(info, mapping.IdxT(scan.threadCount()))
	mapping.InitSetInitData(info, newBox(scan), releaseCallback())
}

//export siltstoneBufferFill
func siltstoneBufferFill(p, chunk unsafe.Pointer) {
	info := mapping.FunctionInfo{Ptr: p}
	scan := openBox[*bufferScan](mapping.FunctionGetInitData(info))
	defer func() {
		if fault := recover(); fault != nil {
			mapping.FunctionSetError(info, scan.source.fail(withStack(fault)).Error())
		}
	}()
	scan.fill(mapping.DataChunk{Ptr: chunk})
}

// withStack adds where a panic came from, which its recovery would hide.
func withStack(fault any) string { return fmt.Sprintf("%v\n%s", fault, debug.Stack()) }
