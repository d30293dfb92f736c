// State dicts: the tensors of a .pt file.
#pragma once

#include <galley/core/named_tensors.hpp>
#include <galley/core/result.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace galley::inline v1 {

/// How a state dict is read.
struct StateDictOptions {
  /// Where the file holds a dict of more than that, the entry that is the state dict; else empty.
  std::string entry = {};
};

/// Reads the tensors of a file that Python's `torch.save(module.state_dict(), path)` wrote, in
/// order; of any dict of texts and tensors, also one of LibTorch's `pickle_save`. They are in host
/// memory, wherever they were, and read-only; those that shared memory share it.
///
/// Nothing of the file is run: its pickle is taken as data, of which only dicts, texts, numbers and
/// LibTorch's own tensors and parameters are looked at.
///
/// Errors   not_found: no such file, or no such entry; data_loss: no zip archive of torch.save, cut
///          or damaged, not a dict of texts and tensors (saying what it is instead), a tensor
///          beyond its memory, a bool that is neither 0 nor 1;
///          unimplemented: the format of torch before 1.6, another pickle protocol than 2, another
///          byte order, a dtype that galley has none for, more than eight extents;
///          resource_exhausted
/// Threads  any
/// Cost     reading the file once
/// Source   The archive is read by LibTorch; the pickle is not: LibTorch's `pickle_load` takes a
///          dict but no OrderedDict, which is what `state_dict()` gives, and up to 1.13 no
///          parameters.
Result<std::vector<NamedTensor>> load_state_dict(const std::string& path,
                                                 const StateDictOptions& options = {});

/// The same of a file's content, which is not needed once this returns.
Result<std::vector<NamedTensor>> state_dict_from_bytes(std::span<const std::byte> bytes,
                                                       const StateDictOptions& options = {});

}  // namespace galley::inline v1
