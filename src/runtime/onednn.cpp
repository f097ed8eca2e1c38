// Calls of the oneDNN operators that libtorch registers beside its own table ("mkldnn::…"), which its Rust bindings do
// not have. Every function returns null, or a message that the caller frees with free().

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <cstdint>
#include <cstring>
#include <exception>

namespace {

using Stack = std::vector<c10::IValue>;

at::Tensor call(const char* name, const char* overload, Stack stack) {
  auto op = c10::Dispatcher::singleton().findSchemaOrThrow(name, overload);
  op.callBoxed(&stack);
  return stack.front().toTensor();
}

c10::IValue ints(const int64_t* values, size_t count) { return std::vector<int64_t>(values, values + count); }

c10::IValue optional(const at::Tensor* tensor) { return tensor ? c10::IValue(*tensor) : c10::IValue(); }

c10::IValue scalars(const double* values, size_t count) {
  c10::List<std::optional<at::Scalar>> list;
  for (size_t i = 0; i < count; ++i) list.push_back(at::Scalar(values[i]));
  return c10::IValue(list);
}

template <typename F>
char* guarded(F body) {
  try {
    body();
    return nullptr;
  } catch (const std::exception& error) {
    return strdup(error.what());
  } catch (...) {
    return strdup("unknown error");
  }
}

}  // namespace

extern "C" {

// What a convolution does beside its operands; the strings are oneDNN's names of post-operations.
struct graphopt_convolution {
  const int64_t* padding;
  const int64_t* stride;
  const int64_t* dilation;
  size_t spatial;  // entries of each list above
  int64_t groups;
  const char* activation;  // "none" for none
  const double* scalars;   // the activation's parameters
  size_t scalar_count;
  const char* algorithm;  // the activation's variant, or ""
};

int graphopt_onednn_is_available() {
  auto& dispatcher = c10::Dispatcher::singleton();
  return at::hasMKLDNN() && dispatcher.findSchema({"mkldnn::_reorder_convolution_weight", ""}).has_value() &&
         dispatcher.findSchema({"mkldnn::_convolution_pointwise", ""}).has_value();
}

// The weight in the layout that oneDNN's convolution wants for an input of this shape.
char* graphopt_onednn_pack(const at::Tensor* weight, const graphopt_convolution* c, const int64_t* shape, size_t rank,
                           at::Tensor** out) {
  return guarded([&] {
    *out = new at::Tensor(call("mkldnn::_reorder_convolution_weight", "",
                               {*weight, ints(c->padding, c->spatial), ints(c->stride, c->spatial),
                                ints(c->dilation, c->spatial), c->groups, ints(shape, rank)}));
  });
}

// activation(convolution(x, weight) + bias).
char* graphopt_onednn_convolve(const at::Tensor* x, const at::Tensor* weight, const at::Tensor* bias,
                               const graphopt_convolution* c, at::Tensor** out) {
  return guarded([&] {
    *out = new at::Tensor(call("mkldnn::_convolution_pointwise", "",
                               {*x, *weight, optional(bias), ints(c->padding, c->spatial), ints(c->stride, c->spatial),
                                ints(c->dilation, c->spatial), c->groups, c->activation,
                                scalars(c->scalars, c->scalar_count), c->algorithm}));
  });
}
}
