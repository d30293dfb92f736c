// Safetensors: named tensors and a map of texts in one file, without anything that could be run.
#pragma once

#include <galley/core/named_tensors.hpp>
#include <galley/core/owner.hpp>
#include <galley/core/result.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace galley::inline v1 {

/// What a safetensors file holds.
struct Safetensors {
  /// In the order in which their bytes lie; no two of one name. Read-only; they share one memory.
  std::vector<NamedTensor> tensors = {};
  /// The texts of `__metadata__`.
  std::map<std::string, std::string, std::less<>> metadata = {};

  /// The tensor of this name, or null. Linear.
  const Tensor* find(std::string_view name) const noexcept {
    const NamedTensor* known = detail::find_named(std::span(tensors), name);
    return known == nullptr ? nullptr : &known->tensor;
  }
};

/// How a file's bytes get into memory.
///
/// `copied` reads them into memory of galley's own: what becomes of the file afterwards is seen by
/// nobody. `mapped` has the system page them in as they are looked at, and out when memory is
/// short; processes that map one file share it. But who *shortens* a mapped file ends every process
/// that looks at what is gone (SIGBUS), and who writes over it changes weights that are being
/// served. Map only what is replaced by renaming a new file over the old.
enum class FileAccess : std::uint8_t { copied, mapped };

/// How a safetensors file is read.
struct SafetensorsOptions {
  FileAccess access = FileAccess::copied;
};

/// Reads a safetensors file.
///
/// The tensors share the file's bytes. One that does not lie aligned to its dtype there (the format
/// does not promise it; the usual writers do it) is copied to memory of its own.
///
/// Errors   not_found: no such file; data_loss: not of the format, with the tensor and member that
///          are not: shorter than it says, a header that is no JSON object of entries with dtype,
///          shape and data_offsets, a name twice, tensors that overlap, leave bytes between or
///          behind them, or lie beyond the file; a bool that is neither 0 nor 1; unimplemented: a
///          dtype that galley has none for (8 bits of floating point, unsigned ones but uint8,
///          complex), more than eight extents; resource_exhausted
/// Threads  any; the tensors may be read on several
/// Cost     `copied`: reading the file once. `mapped`: the header, and looking at tensors of bools.
///          Memory for the header in proportion to it; more than 100 MB of it are refused
/// Source   The format: https://github.com/huggingface/safetensors. Differs: a name twice is
///          refused, and so are bools of other values.
Result<Safetensors> load_safetensors(const std::string& path, SafetensorsOptions options = {});

/// The same of a file's bytes, which `owner` keeps; a null owner borrows them for as long as any of
/// the tensors is there. Aligned bytes are shared as above.
Result<Safetensors> safetensors_from_bytes(std::span<const std::byte> bytes, Owner owner);

/// The same of a copy of the bytes.
Result<Safetensors> safetensors_from_bytes(std::span<const std::byte> bytes);

}  // namespace galley::inline v1
