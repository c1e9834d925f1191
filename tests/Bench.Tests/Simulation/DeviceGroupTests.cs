using LlamaServe.Bench.Simulation;

namespace LlamaServe.Bench.Tests.Simulation;

internal sealed class DeviceGroupTests
{
    private static readonly ModelShape Llama70B = ModelShape.Named("llama-3-70b") with { WeightBits = 8, KvBits = 8 };

    [Test]
    public void Memory_that_the_weights_leave_is_the_caches()
    {
        DeviceGroup one = new(DataSheet.Named("H200"), Llama70B, 1);

        // 141 GB · 0.92 − 3 GB, less 68.5 GB of layers and 4.2 GB of both tables, at 160 KB a token.
        Assert.That(one.KvTokens, Is.EqualTo(330_000).Within(5).Percent);
        Assert.That(
            () => new DeviceGroup(DataSheet.Named("H100"), ModelShape.Named("llama-3-70b"), 1).KvTokens,
            Throws.ArgumentException.With.Message.Contains("does not fit"));
    }

    [Test]
    public void A_decode_step_reads_the_weights_and_the_context()
    {
        DeviceGroup one = new(DataSheet.Named("H200"), Llama70B, 1, BandwidthEfficiency: 1, StepOverhead: 0);
        double empty = one.Seconds(new StepSize(1, 1, 0, 0)), full = one.Seconds(new StepSize(1, 1, 100_000, 0));

        // 68.5 GB of layers and 2.1 GB of the output matrix at 4.8 TB/s; 160 KB for each token of context.
        Assert.That(empty, Is.EqualTo(70.6e9 / 4.8e12).Within(1).Percent);
        Assert.That(full - empty, Is.EqualTo(100_000.0 * 163_840 / 4.8e12).Within(0.1).Percent);
    }

    [Test]
    public void Devices_that_share_a_step_pay_for_adding_up([Values(2, 4, 8)] int devices)
    {
        DeviceGroup one = new(DataSheet.Named("H200"), Llama70B, 1, StepOverhead: 0), many = one with { Count = devices };
        StepSize decode = new(64, 64, 64 * 2000, 0), prompt = new(8192, 8, 0, 8 * 1024 * 512);

        foreach (StepSize step in new[] { decode, prompt })
        {
            Assert.That(many.Seconds(step), Is.InRange(1.02 * one.Seconds(step) / devices, 0.9 * one.Seconds(step)));
        }
    }

    [Test]
    public void Long_contexts_cost_prompts_the_square_of_their_length()
    {
        DeviceGroup eight = new(DataSheet.Named("H100"), ModelShape.Named("llama-3-8b") with { WeightBits = 8, KvBits = 8 }, 8);
        StepSize early = Chunk(0), late = Chunk(990_000);

        Assert.That(eight.KvTokens, Is.GreaterThan(1_000_000));
        Assert.That(eight.Seconds(late), Is.GreaterThan(10 * eight.Seconds(early)));

        static StepSize Chunk(int start) => new(8192, 1, 0, 8192 * (start + 0.5 * 8193));
    }
}
