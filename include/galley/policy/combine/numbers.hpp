// Numbers: what combiners calculate with, whatever holds it.
#pragma once

#include <galley/core/result.hpp>
#include <galley/core/rows.hpp>
#include <galley/core/tensor.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/core/text.hpp>
#include <galley/policy/combine.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace galley::inline v1 {

namespace detail {

template <class T>
inline constexpr bool is_number = std::same_as<T, float> || std::same_as<T, double>;
template <class T>
inline constexpr bool is_numbers = false;
template <class T>
inline constexpr bool is_numbers<std::vector<T>> = is_number<T>;
template <class T, std::size_t n>
inline constexpr bool is_numbers<std::array<T, n>> = is_number<T>;
template <>
inline constexpr bool is_numbers<Tensor> = true;

}  // namespace detail

/// Several numbers: a vector or an array of float or double, or a tensor of f32 or f64 in host
/// memory.
template <class T>
concept Numbers = detail::is_numbers<T>;

/// One number, or several.
template <class T>
concept NumberRow = detail::is_number<T> || Numbers<T>;

namespace detail {

/// Says that a member's numbers cannot be taken together with those of an earlier one, or at all.
inline Error unlike_votes(std::string_view combiner, std::size_t member, std::string_view got,
                          std::string_view wanted) {
  return Error(Status::internal, text({combiner, ": member ", std::to_string(member), " answered ",
                                       got, ", expected ", wanted}));
}

inline bool has_numbers(const Tensor& tensor) {
  return tensor.is_defined() && tensor.device().is_cpu() &&
         (tensor.dtype() == f32 || tensor.dtype() == f64);
}

/// Calls `f` with the tensor's numbers and how many of them lie along its last axis.
template <class F>
void with_numbers(const Tensor& tensor, F&& f) {
  GALLEY_ASSERT(has_numbers(tensor) && tensor.is_contiguous());
  const std::size_t rank = tensor.rank();
  const std::size_t last = rank == 0 ? 1 : static_cast<std::size_t>(tensor.shape()[rank - 1]);
  const auto n = static_cast<std::size_t>(tensor.numel());
  if (tensor.dtype() == f32) {
    f(std::span(tensor.data<float>(), n), last);
  } else {
    f(std::span(tensor.data<double>(), n), last);
  }
}

/// The same of any numbers; those of a tensor are made contiguous first.
///
/// Errors  internal: a tensor of something else
template <NumberRow Mid, class F>
Result<void> visit_numbers(std::string_view combiner, std::size_t member, const Mid& numbers,
                           F&& f) {
  if constexpr (is_number<Mid>) {
    f(std::span(&numbers, 1), std::size_t{1});
  } else if constexpr (std::same_as<Mid, Tensor>) {
    if (!has_numbers(numbers)) {
      return unlike_votes(combiner, member, to_string(numbers),
                          "float32 or float64 in host memory");
    }
    if (numbers.is_contiguous()) {
      with_numbers(numbers, f);
    } else {
      GALLEY_TRY(const Tensor dense, numbers.contiguous());
      with_numbers(dense, f);
    }
  } else {
    f(std::span<const typename Mid::value_type>(numbers), numbers.size());
  }
  return {};
}

/// Zeros in the form of `like`.
template <NumberRow Mid>
Result<Mid> zeros_like(const Mid& like) {
  if constexpr (std::same_as<Mid, Tensor>) {
    return Tensor::zeros(like.dtype(), like.shape());
  } else if constexpr (requires { Mid(like.size()); }) {
    return Mid(like.size());
  } else {
    return Mid{};
  }
}

template <NumberRow Mid>
bool is_like(const Mid& a, const Mid& b) {
  if constexpr (std::same_as<Mid, Tensor>) {
    return a.dtype() == b.dtype() && a.shape() == b.shape();
  } else if constexpr (Numbers<Mid>) {
    return a.size() == b.size();
  } else {
    return true;
  }
}

template <NumberRow Mid>
std::string form_of(const Mid& numbers) {
  if constexpr (std::same_as<Mid, Tensor>) {
    return to_string(numbers);
  } else if constexpr (Numbers<Mid>) {
    return std::to_string(numbers.size()) + " numbers";
  } else {
    return "a number";
  }
}

/// What can be written through, of numbers of one's own.
template <class T, NumberRow Mid>
T* numbers_at(Mid& numbers) {
  if constexpr (std::same_as<Mid, Tensor>) {
    return numbers.template mutable_data<T>();
  } else if constexpr (std::same_as<Mid, T>) {
    return &numbers;
  } else if constexpr (Numbers<Mid>) {
    if constexpr (std::same_as<typename Mid::value_type, T>) return numbers.data();
  }
  return nullptr;
}

/// Folds the votes on a row: `fold.add(to, numbers, last, member)` takes each vote into zeros in
/// turn, `fold.finish(to)` ends it; all the same for whole batches, of which it sees the rows one
/// behind the other.
///
/// Errors  internal: no vote has a value, votes of unlike shapes or of no numbers
template <NumberRow Mid, class Fold>
Result<Mid> fold_votes(const char* combiner, const Votes<Mid>& votes, const Fold& fold) {
  const Mid* first = votes.first();
  if (first == nullptr) return nobody_voted(combiner);
  if constexpr (std::same_as<Mid, Tensor>) {
    if (!has_numbers(*first)) {  // says so
      GALLEY_TRY(visit_numbers(combiner, 0, *first, [](auto, std::size_t) {}));
    }
  }
  GALLEY_TRY(Mid all, zeros_like(*first));
  for (std::size_t m = 0; m < votes.size(); ++m) {
    if (!votes[m].has_value()) continue;
    const Mid& vote = *votes[m].value;
    if (!is_like(vote, *first)) {
      return unlike_votes(combiner, m, form_of(vote), form_of(*first) + " as the first did");
    }
    GALLEY_TRY(visit_numbers(combiner, m, vote, [&](auto numbers, std::size_t last) {
      using T = typename decltype(numbers)::value_type;
      fold.add(std::span<T>(numbers_at<T>(all), numbers.size()), numbers, last, m);
    }));
  }
  GALLEY_TRY(visit_numbers(combiner, 0, all, [&](auto numbers, std::size_t) {
    using T = typename decltype(numbers)::value_type;
    fold.finish(std::span<T>(numbers_at<T>(all), numbers.size()));
  }));
  return all;
}

/// The same of a whole batch, block by block; nothing where rows have to be looked at one by one.
template <class Fold>
std::optional<Rows<Tensor>> fold_blocks(const BatchVotes<Tensor>& votes, const Fold& fold) {
  const Tensor* first = nullptr;
  for (const Rows<Tensor>* member : votes.members) {
    if (member == nullptr) continue;
    const Tensor* block = member->block();
    if (block == nullptr || !has_numbers(*block) || !block->is_contiguous()) return std::nullopt;
    if (first == nullptr) first = block;
    if (!is_like(*block, *first)) return std::nullopt;
  }
  if (first == nullptr) return std::nullopt;
  Result<Tensor> all = Tensor::zeros(first->dtype(), first->shape(), votes.workspace);
  if (!all.has_value()) return std::nullopt;
  // A block of scalars has no axis but that of its rows.
  const auto add = [&](const Tensor& block, std::size_t m) {
    with_numbers(block, [&](auto numbers, std::size_t last) {
      using T = typename decltype(numbers)::value_type;
      const std::size_t axis = block.rank() == 1 ? 1 : last;
      fold.add(std::span<T>(all->mutable_data<T>(), numbers.size()), numbers, axis, m);
    });
  };
  for (std::size_t m = 0; m < votes.members.size(); ++m) {
    if (votes.members[m] != nullptr) add(*votes.members[m]->block(), m);
  }
  with_numbers(*all, [&](auto numbers, std::size_t) {
    using T = typename decltype(numbers)::value_type;
    fold.finish(std::span<T>(all->mutable_data<T>(), numbers.size()));
  });
  Result<Rows<Tensor>> rows = Rows<Tensor>::of_block(*std::move(all));
  if (!rows.has_value()) return std::nullopt;
  return *std::move(rows);
}

/// The same where a row is a number.
template <class T, class Fold>
  requires(is_number<T>)
std::optional<Rows<T>> fold_rows(const BatchVotes<T>& votes, const Fold& fold) {
  Rows<T> all(votes.rows, votes.workspace);
  for (std::size_t i = 0; i < votes.rows; ++i) all.push_back(T{});
  const std::span<T> to(all.data(), all.size());
  for (std::size_t m = 0; m < votes.members.size(); ++m) {
    if (votes.members[m] != nullptr) fold.add(to, votes.members[m]->span(), 1, m);
  }
  fold.finish(to);
  return all;
}

/// Whichever of the two is for Mid; nothing for rows of vectors and arrays.
template <NumberRow Mid, class Fold>
std::optional<Rows<Mid>> fold_batch(const BatchVotes<Mid>& votes, const Fold& fold) {
  if constexpr (std::same_as<Mid, Tensor>) {
    return fold_blocks(votes, fold);
  } else if constexpr (is_number<Mid>) {
    return fold_rows(votes, fold);
  } else {
    return std::nullopt;
  }
}

}  // namespace detail

}  // namespace galley::inline v1
