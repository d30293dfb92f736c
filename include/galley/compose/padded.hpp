// padded: the same answers, for rows of unequal length, computed in dense blocks.
#pragma once

#include <galley/compose/padding/node.hpp>
#include <galley/compose/padding/options.hpp>
#include <galley/compose/padding/samples.hpp>
#include <galley/core/named_tensors.hpp>
#include <galley/core/owned_rows.hpp>
#include <galley/core/servable.hpp>
#include <galley/core/tensor_rows.hpp>

#include <concepts>
#include <string>
#include <utility>

namespace galley::inline v1 {

/// What `padded` can pad for: a tensor, or a tensor and its mask.
template <class In>
concept PaddedInput = std::same_as<In, Tensor> || std::same_as<In, NamedTensors>;

/// The same servable, for rows of unequal length: each row is filled up to one of the lengths that
/// `options` give, and rows that are then alike go to `servable` as one dense block.
///
/// Rows are tensors that agree in all but their extent along `options.axis`; others of a batch go
/// in blocks of their own. A servable of named tensors is given the block and a mask beside it,
/// `bool [length]` for each row, true where an element is the row's own. Where answers are as long
/// as the padded rows, `options.output_axis` has them cut back. Rows that fit several lengths run
/// together where that is measured to take less time (`merge_upward`).
///
/// That padding changes no answer is checked: `prepare` compares the answers to the samples with
/// those at every length they fit, by `same`. Until it has, rows are refused.
///
/// `batched(executor, padded(model))` gathers rows of all lengths in one batch, which is sorted;
/// `padded(batched(executor, model))` pads first and keeps an open batch for each length. The first
/// measures and merges; the second waits for a batch of each length apart.
///
/// Errors   invalid_argument: a row longer than the last length, of length 0, without the axis or
///          not in host memory; failed_precondition: not prepared, or a value that is no element
///          of the rows' dtype; internal: an answer that is not as long as the padded row.
///          `check`: options that contradict each other, or a servable that is stateful, whose rows
///          depend on each other, or which samples cannot speak for
/// Threads  thread-safe
/// Cost     one copy of each row that is not in a block of the right length already; a block, and
///          for rows of several lengths some lists, from the workspace or the heap
/// Example  examples/padding.cpp
template <PaddedInput In, class Out, class Same = EqualAnswers, class Mode = detail::ExceptionMode>
  requires(std::predicate<const Same&, const Out&, const Out&>)
Servable<Tensor, Out> padded(Servable<In, Out> servable, Padding options, Same same = {},
                             Mode = {}) {
  std::string name = "padded(" + servable.name() + ")";
  const auto broken = [&](Error why) {
    return Servable<Tensor, Out>::broken(std::move(name), std::move(why));
  };
  Result<void> good = detail::check_padding(servable.traits(), options);
  if (good.has_value()) good = make_owned(options.samples);
  if (!good.has_value()) return broken(std::move(good).error());
  if (options.output_axis.has_value() && !std::same_as<Out, Tensor>) {
    return broken(Error(
        Status::failed_precondition,
        "options.output_axis: its answers are not tensors, but " + std::string(type_name<Out>())));
  }
  if (std::same_as<In, NamedTensors> && options.input == options.mask) {
    return broken(Error(
        Status::failed_precondition,
        "options.mask: expected another name than the input's, got \"" + options.mask + "\""));
  }
  using Node = detail::PaddedNode<In, Out, Same, Mode>;
  Node node(name, std::move(servable), std::move(options), std::move(same));
  return Servable<Tensor, Out>::of_node(std::move(name), std::move(node));
}

}  // namespace galley::inline v1
