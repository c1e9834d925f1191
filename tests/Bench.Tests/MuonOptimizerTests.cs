using LlamaServe.Bench.Torch;
using LlamaServe.Bench.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace LlamaServe.Bench.Tests;

internal sealed class MuonOptimizerTests
{
    [OneTimeSetUp]
    public void LoadRuntime() => TorchRuntime.EnsureLoaded();

    [TestCase(24, 16)]
    [TestCase(16, 24)]
    public void A_matrix_moves_by_nearly_the_same_amount_in_all_directions(int rows, int columns)
    {
        using DisposeScope scope = NewDisposeScope();
        random.manual_seed(5);
        Parameter matrix = Parameter(rows, columns);
        matrix.grad = randn(rows, columns);
        var optimizer = new MuonOptimizer(new() { ["x_proj.weight"] = matrix }, ScalarType.Float32);

        optimizer.Step(learningRate: 1, step: 1);

        (Tensor _, Tensor singular, Tensor _) = linalg.svd(matrix.detach(), fullMatrices: false);
        float scale = 0.2f * MathF.Sqrt(24);
        Assert.That(singular.max().item<float>() / scale, Is.InRange(0.6, 1.3));
        Assert.That(singular.min().item<float>() / scale, Is.InRange(0.6, 1.3));
    }

    [Test]
    public void A_vectors_first_step_is_the_learning_rate_against_the_gradients_sign()
    {
        using DisposeScope scope = NewDisposeScope();
        Parameter vector = Parameter(3);
        vector.grad = tensor(new[] { 0.5f, -0.01f, 0.2f });
        var optimizer = new MuonOptimizer(new() { ["norm.weight"] = vector }, ScalarType.Float32);

        optimizer.Step(learningRate: 0.25f, step: 1);

        Assert.That(vector.data<float>().ToArray(), Is.EqualTo(new[] { -0.25f, 0.25f, -0.25f }).Within(1e-4));
    }

    [Test]
    public void Gradients_are_clear_after_a_step()
    {
        using DisposeScope scope = NewDisposeScope();
        Parameter vector = Parameter(3);
        vector.grad = ones(3);
        var optimizer = new MuonOptimizer(new() { ["norm.weight"] = vector }, ScalarType.Float32);

        optimizer.Step(learningRate: 0.1f, step: 1);

        Assert.That(vector.grad!.abs().sum().item<float>(), Is.Zero);
    }

    private static Parameter Parameter(params long[] shape) => new(zeros(shape));
}
