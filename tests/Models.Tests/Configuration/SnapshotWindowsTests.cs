using System.Text.Json.Nodes;
using LlamaServe.Models.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Configuration;

public sealed class SnapshotWindowsTests
{
    [Test]
    public void Mistral_has_its_window_in_every_layer() =>
        Assert.That(Windows(TinyModel.Mistral), Is.EqualTo(new[] { 11, 11, 11 }));

    [Test]
    public void A_null_window_of_mistral_is_none() =>
        Assert.That(Windows(TinyModel.Mistral, ("sliding_window", "null")), Is.EqualTo(new[] { 0, 0, 0 }));

    [Test]
    public void An_absent_window_of_mistral_is_4096()
    {
        Assert.That(SnapshotConfigTests.Read(TinyModel.Mistral, json => json.Remove("sliding_window")).SlidingWindows,
            Is.EqualTo(new[] { 4096, 4096, 4096 }));
    }

    [Test]
    public void A_llama_has_none_whatever_the_file_says() =>
        Assert.That(Windows(TinyModel.Llama2, ("sliding_window", "7")), Is.EqualTo(new[] { 0, 0, 0 }));

    [Test]
    public void Qwen_uses_its_window_only_when_told_to()
    {
        Assert.That(Windows(TinyModel.Qwen2, ("sliding_window", "7"), ("use_sliding_window", "false"), ("max_window_layers", "0")),
            Is.EqualTo(new[] { 0, 0, 0 }));
    }

    [Test]
    public void Qwen_uses_its_window_from_max_window_layers_on()
    {
        Assert.That(Windows(TinyModel.Qwen2, ("sliding_window", "7"), ("use_sliding_window", "true"), ("max_window_layers", "2")),
            Is.EqualTo(new[] { 0, 0, 7 }));
    }

    [Test]
    public void Listed_layer_types_decide()
    {
        Assert.That(
            Windows(TinyModel.Qwen3, ("sliding_window", "7"), ("use_sliding_window", "true"), ("max_window_layers", "2"),
                ("layer_types", """["sliding_attention", "full_attention", "sliding_attention"]""")),
            Is.EqualTo(new[] { 7, 0, 7 }));
    }

    [TestCase("""["full_attention"]""", "'layer_types' lists 1 layers, not 3")]
    [TestCase("""["full_attention", "linear_attention", "full_attention"]""", "'layer_types[]' is 'linear_attention'; supported are")]
    [TestCase("""["full_attention", "sliding_attention", "full_attention"]""", "'layer_types[]' is sliding_attention, but no window is in use")]
    public void Layer_types_that_are_not_served_are_refused(string types, string problem)
    {
        CheckpointException? error = Assert.Throws<CheckpointException>(() => Windows(TinyModel.Llama2, ("layer_types", types)));

        Assert.That(error!.Message, Does.Contain(problem));
    }

    private static IReadOnlyList<int> Windows(TinyModel model, params (string Key, string Value)[] settings) =>
        SnapshotConfigTests.Read(model, json =>
        {
            foreach ((string key, string value) in settings)
            {
                json[key] = JsonNode.Parse(value);
            }
        }).SlidingWindows;
}
