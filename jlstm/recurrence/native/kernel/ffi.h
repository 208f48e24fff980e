// The part of XLA's foreign function interface that the handlers use, as of its version 0.3.
//
// XLA keeps its layouts: later versions add fields at the ends of these structures.

#ifndef JLSTM_FFI_H
#define JLSTM_FFI_H

#include <stddef.h>
#include <stdint.h>

enum { FFI_MAJOR = 0, FFI_MINOR = 3 };

typedef struct ffi_error ffi_error;
typedef struct ffi_context ffi_context;

typedef struct ffi_extension {
  size_t size;
  int type;  // 1: of metadata
  struct ffi_extension *next;
} ffi_extension;

typedef struct {
  size_t size;
  ffi_extension *extensions;
  int major, minor;
} ffi_version;

typedef struct {
  size_t size;
  ffi_version version;
  uint32_t traits;
  int64_t state_type;
} ffi_metadata;

typedef struct {
  ffi_extension extension;
  ffi_metadata *metadata;
} ffi_metadata_extension;

typedef struct {
  size_t size;
  ffi_extension *extensions;
  int type;
  void *data;
  int64_t rank;
  int64_t *dimensions;
} ffi_buffer;

typedef struct {
  int type;
  void *value;
} ffi_scalar;

typedef struct {
  const char *start;
  size_t length;
} ffi_text;

// Arguments and results alike.
typedef struct {
  size_t size;
  ffi_extension *extensions;
  int64_t count;
  int *types;
  ffi_buffer **buffers;
} ffi_buffers;

typedef struct {
  size_t size;
  ffi_extension *extensions;
  int64_t count;
  int *types;
  ffi_text **names;
  ffi_scalar **scalars;
} ffi_attributes;

typedef struct {
  size_t size;
  ffi_extension *extensions;
  const char *message;
  int code;
} ffi_error_create;

typedef struct {
  size_t size;
  ffi_extension *extensions;
  ffi_error *error;
} ffi_error_destroy;

typedef struct {
  size_t size;
  ffi_extension *extensions;
  ffi_context *context;
  void (*task)(void *data);
  void *data;
} ffi_schedule;

typedef struct {
  size_t size;
  ffi_extension *extensions;
  ffi_context *context;
  int64_t *threads;
} ffi_thread_count;

typedef struct {
  size_t size;
  ffi_extension *extensions;
  ffi_version version;
  const void *internal;
  ffi_error *(*create_error)(ffi_error_create *);
  void *error_message;
  void (*destroy_error)(ffi_error_destroy *);
  void *register_handler, *stream, *register_type, *get_from_context, *set_state, *get_state;
  void *allocate, *release;
  ffi_error *(*schedule)(ffi_schedule *);
  ffi_error *(*count_threads)(ffi_thread_count *);
} ffi_api;

typedef struct {
  size_t size;
  ffi_extension *extensions;
  const ffi_api *api;
  ffi_context *context;
  int stage;
  ffi_buffers arguments, results;
  ffi_attributes attributes;
  void *future;
} ffi_call;

#endif
