// What the tests of `padded` share: rows of some length, and models that padding leaves alone.
#pragma once

#include <galley/compose/padded.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace support {

/// One row of these numbers.
inline galley::Tensor row_of(std::initializer_list<float> numbers) {
  return *galley::Tensor::copy_of(numbers, {numbers.size()});
}

/// A row of `length` numbers: `first`, and one more each time.
inline galley::Tensor counting(std::size_t length, float first = 1) {
  std::vector<float> numbers(length);
  std::iota(numbers.begin(), numbers.end(), first);
  return *galley::Tensor::from(std::move(numbers), {length});
}

inline std::vector<float> numbers_of(const galley::Tensor& tensor) {
  const galley::Tensor dense = *tensor.contiguous();
  const auto span = *dense.span<float>();
  return {span.begin(), span.end()};
}

/// The blocks that a model was given, in order.
struct BlockLog {
  std::vector<galley::Shape> shapes;
  std::vector<std::vector<std::uint64_t>> requests;  ///< The request id of each row.
  std::vector<std::vector<galley::Key>> keys;
  std::function<void(const galley::Shape&)> during;

  /// Notes a batch; where it is dense, its block.
  galley::Result<galley::Tensor> note(const galley::Rows<galley::Tensor>& rows,
                                      const galley::BatchContext& context) {
    if (rows.block() == nullptr || !rows.block()->is_contiguous()) {
      return galley::Error(galley::Status::internal, "got ragged rows");
    }
    shapes.push_back(rows.block()->shape());
    std::vector<std::uint64_t>& ids = requests.emplace_back();
    for (std::size_t i = 0; i < rows.size(); ++i) ids.push_back(context.context_of(i).request_id);
    keys.emplace_back(context.keys().begin(), context.keys().end());
    if (during) during(shapes.back());
    return *rows.block();
  }
};

/// The sum of each row's numbers; below zero is refused. Zeros at the end change nothing.
inline galley::Servable<galley::Tensor, float> summing(std::shared_ptr<BlockLog> log,
                                                       galley::NodeTraits traits = {}) {
  return {"sum",
          [log = std::move(log)](const galley::Batch<galley::Tensor>& batch,
                                 const galley::BatchContext& context) {
            const galley::Rows<galley::Tensor> rows = batch.to_rows();
            const auto block = log->note(rows, context);
            if (!block.has_value()) {
              return galley::Outcomes<float>::failed(rows.size(), block.error());
            }
            galley::Outcomes<float> outcomes;
            for (std::size_t i = 0; i < rows.size(); ++i) {
              float sum = 0;
              for (const float number : numbers_of(rows[i])) sum += number;
              if (sum < 0) {
                outcomes.casualties().append(
                    i, galley::Error(galley::Status::invalid_argument, "below zero"));
              } else {
                outcomes.survivors().push_back(sum);
              }
            }
            return outcomes;
          },
          traits};
}

/// Each number doubled and one more: answers as long as the row, and of the padding not zero.
inline galley::Servable<galley::Tensor, galley::Tensor> doubling(std::shared_ptr<BlockLog> log) {
  return {"double",
          [log = std::move(log)](
              const galley::Batch<galley::Tensor>& batch,
              const galley::BatchContext& context) -> galley::Outcomes<galley::Tensor> {
            const galley::Rows<galley::Tensor> rows = batch.to_rows();
            const auto block = log->note(rows, context);
            if (!block.has_value()) {
              return galley::Outcomes<galley::Tensor>::failed(rows.size(), block.error());
            }
            std::vector<float> numbers = numbers_of(*block);
            for (float& number : numbers) number = 2 * number + 1;
            return *galley::Rows<galley::Tensor>::of_block(
                *galley::Tensor::from(std::move(numbers), block->shape()));
          }};
}

/// The mean of the numbers under the mask.
inline galley::Servable<galley::NamedTensors, float> masked_mean() {
  return {"mean", [](const galley::Rows<galley::NamedTensors>& rows) {
            galley::Rows<float> out;
            const galley::Tensor all = *(*(*rows.column("input"))->block()).contiguous();
            const galley::Tensor mask = *(*(*rows.column("mask"))->block()).contiguous();
            for (std::size_t i = 0; i < rows.size(); ++i) {
              const galley::Tensor row = all.row(i), real = mask.row(i);
              float sum = 0, count = 0;
              for (std::size_t k = 0; k < static_cast<std::size_t>(row.numel()); ++k) {
                if (!real.data<bool>()[k]) continue;
                sum += row.data<float>()[k];
                ++count;
              }
              out.push_back(sum / count);
            }
            return out;
          }};
}

/// The mean of all numbers, padding included: not safe to pad.
inline galley::Servable<galley::Tensor, float> plain_mean() {
  return {"mean", [](const galley::Tensor& row) {
            float sum = 0;
            for (const float number : numbers_of(row)) sum += number;
            return sum / static_cast<float>(row.numel());
          }};
}

/// Lengths 4, 8 and 16, and samples of all of them.
inline galley::Padding paddings() {
  galley::Padding options;
  options.lengths = {4, 8, 16};
  options.samples = {counting(2), counting(4), counting(7), counting(13)};
  return options;
}

inline std::string why(const galley::Result<void>& result) {
  return result.has_value() ? "" : to_string(result.error());
}

/// `summing`, padded and prepared, its log empty.
inline galley::Servable<galley::Tensor, float> padded_sum(const std::shared_ptr<BlockLog>& log,
                                                          galley::Padding options) {
  auto graph = galley::padded(summing(log), std::move(options));
  (void)graph.prepare();
  *log = BlockLog();
  return graph;
}

inline galley::PaddingStatistics padding_of(const auto& graph) {
  galley::PaddingStatistics statistics;
  (void)graph.control("", statistics);
  return statistics;
}

}  // namespace support
