// Fuzzes the reader of safetensors: any bytes give tensors that fill them, or are told in a line.
//
// With -DGALLEY_FUZZ=ON and clang: safetensors_fuzz <corpus>. Without libFuzzer its main goes
// through the files that it is given, as an ordinary test.
#include <galley/io/safetensors.hpp>

#include <support/safetensors.hpp>

#include <fuzz/target.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

using galley::NamedTensor;
using galley::Result;
using galley::Safetensors;
using galley::Status;
using galley::Tensor;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "safetensors_fuzz: %s\n", what);
  std::abort();
}

void check(const galley::Error& error) {
  require(!error.detail.empty() && error.detail.size() < 1000, "an error is not as one reads");
  require(error.status == Status::data_loss || error.status == Status::unimplemented,
          "an error of another status");
}

/// All bytes of the tensors, in order.
std::vector<std::byte> content(const Safetensors& read) {
  std::vector<std::byte> all;
  std::set<std::string_view> names;
  for (const NamedTensor& named : read.tensors) {
    const Tensor& tensor = named.tensor;
    require(names.insert(named.name).second, "two tensors of one name");
    require(tensor.is_read_only() && tensor.is_contiguous(), "a tensor that may be written");
    const auto address = reinterpret_cast<std::uintptr_t>(tensor.data());
    require(address % size_of(tensor.dtype()) == 0, "a tensor that is not aligned");
    const std::size_t before = all.size();
    all.resize(before + tensor.byte_size());
    require(tensor.copy_into(std::span(all).subspan(before)).has_value(), "cannot be copied");
  }
  return all;
}

/// Reads a file, from an address that is aligned and from one that is not.
void read(std::string_view file) {
  const auto bytes = std::as_bytes(std::span(file));
  const Result<Safetensors> copied = galley::safetensors_from_bytes(bytes);
  std::string shifted(file.size() + 1, '\0');
  file.copy(shifted.data() + 1, file.size());
  const Result<Safetensors> shared =
      galley::safetensors_from_bytes(std::as_bytes(std::span(shifted)).subspan(1), galley::Owner());
  require(copied.has_value() == shared.has_value(), "read one way and not the other");
  if (!copied.has_value()) {
    check(copied.error());
    return require(copied.error() == shared.error(), "one file, two errors");
  }
  const std::vector<std::byte> all = content(*copied);
  require(all == content(*shared), "one file, two contents");
  require(std::ranges::equal(all, bytes.last(all.size())), "other bytes than the file's");
  require(copied->metadata == shared->metadata, "one file, two metadata");
}

/// A file as it is; and as a header and, behind a null byte, its data: nothing to know the length
/// of.
void run(std::string_view input) {
  read(input);
  const std::size_t end = std::min(input.find('\0'), input.size());
  read(support::safetensors_file(input.substr(0, end),
                                 input.substr(std::min(end + 1, input.size()))));
}

}  // namespace

FUZZ_TARGET(run)
