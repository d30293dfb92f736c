// Stack: the combiner that puts the members' answers side by side.
#pragma once

#include <galley/policy/combine.hpp>
#include <galley/policy/combine/numbers.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// The members' answers side by side, in their order: what a model over them takes. All members
/// must have answered, or have a default.
///
/// Shapes  k members' [*F] of one dtype -> [k, *F]; of anything else a std::vector of k
/// Errors  internal: a member has not answered, tensors of unlike shapes or dtypes, or not in host
///         memory
/// Cost    a copy of each answer
struct Stack {
  static constexpr const char* name = "stack";

  template <std::copy_constructible Mid>
  Result<std::vector<Mid>> combine(const Votes<Mid>& votes) const {
    std::vector<Mid> all;
    all.reserve(votes.size());
    for (std::size_t m = 0; m < votes.size(); ++m) {
      if (!votes[m].has_value()) return missing(m);
      all.push_back(*votes[m].value);
    }
    return all;
  }

  Result<Tensor> combine(const Votes<Tensor>& votes) const;

  /// Blocks [n, *F] -> [n, k, *F].
  std::optional<Rows<Tensor>> combine_rows(const BatchVotes<Tensor>& votes) const;

 private:
  static Error missing(std::size_t member) {
    return Error(Status::internal, "stack: member " + std::to_string(member) + " has not answered");
  }
};

// ---- implementation ----------------------------------------------------------------------------

inline Result<Tensor> Stack::combine(const Votes<Tensor>& votes) const {
  Rows<Tensor> rows(votes.size());
  for (std::size_t m = 0; m < votes.size(); ++m) {
    if (!votes[m].has_value()) return missing(m);
    const Tensor& vote = *votes[m].value;
    const Tensor& first = *votes[0].value;
    if (!vote.is_defined() || !vote.device().is_cpu() || vote.dtype() != first.dtype() ||
        vote.shape() != first.shape()) {
      return detail::unlike_votes(name, m, to_string(vote),
                                  m == 0 ? "a tensor in host memory" : to_string(first));
    }
    rows.push_back(vote);
  }
  Result<Tensor> all = rows.dense();
  if (!all.has_value()) return within(name, std::move(all).error());
  return all;
}

inline std::optional<Rows<Tensor>> Stack::combine_rows(const BatchVotes<Tensor>& votes) const {
  const Tensor* first = nullptr;
  for (const Rows<Tensor>* member : votes.members) {
    const Tensor* block = member == nullptr ? nullptr : member->block();
    if (block == nullptr || !block->device().is_cpu() || !block->is_contiguous()) return {};
    if (first == nullptr) first = block;
    if (block->dtype() != first->dtype() || block->shape() != first->shape()) return {};
  }
  if (first == nullptr || first->rank() == Shape::max_rank) return {};
  std::vector<std::int64_t> extents(first->shape().extents().begin(),
                                    first->shape().extents().end());
  const std::size_t members = votes.members.size();
  extents.insert(extents.begin() + 1, static_cast<std::int64_t>(members));
  const Result<Shape> shape = Shape::of(extents);
  if (!shape.has_value()) return {};
  Result<Tensor> all = Tensor::empty(first->dtype(), *shape, votes.workspace);
  if (!all.has_value()) return {};
  const std::size_t bytes = votes.rows == 0 ? 0 : first->byte_size() / votes.rows;
  auto* to = static_cast<std::byte*>(all->mutable_data());
  for (std::size_t row = 0; row < votes.rows && bytes != 0; ++row) {
    for (const Rows<Tensor>* member : votes.members) {
      std::memcpy(to, static_cast<const std::byte*>(member->block()->data()) + row * bytes, bytes);
      to += bytes;
    }
  }
  Result<Rows<Tensor>> rows = Rows<Tensor>::of_block(*std::move(all));
  if (!rows.has_value()) return {};
  return *std::move(rows);
}

}  // namespace galley::inline v1
