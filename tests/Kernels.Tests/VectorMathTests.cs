using System.Numerics;
using LlamaServe.Kernels.Cpu;

namespace LlamaServe.Kernels.Tests;

internal sealed class VectorMathTests
{
    [Test]
    public void Exp_is_within_two_units_in_the_last_place()
    {
        Random random = new(1);
        double worst = 0;
        for (int i = 0; i < 1_000_000; i++)
        {
            float x = -87.2f + 175 * random.NextSingle();
            double exact = Math.Exp(x);
            double unit = MathF.BitIncrement((float)exact) - (float)exact;
            worst = Math.Max(worst, Math.Abs(VectorMath.Exp(x) - exact) / unit);
        }
        Assert.That(worst, Is.LessThan(2));
    }

    [Test]
    public void Exp_has_sane_limits()
    {
        Assert.That(VectorMath.Exp(0f), Is.EqualTo(1f));
        Assert.That(VectorMath.Exp(-0f), Is.EqualTo(1f));
        Assert.That(VectorMath.Exp(float.NegativeInfinity), Is.Zero);
        Assert.That(VectorMath.Exp(-87.31f), Is.Zero);
        Assert.That(VectorMath.Exp(-87.29f), Is.GreaterThan(1.17549435e-38f), "not subnormal");
        Assert.That(VectorMath.Exp(float.PositiveInfinity), Is.GreaterThan(2e38f).And.Not.NaN);
        Assert.That(VectorMath.Exp(float.NaN), Is.NaN);
    }

    [Test]
    public void MaxLane_finds_the_maximum_in_every_lane()
    {
        for (int lane = 0; lane < Vector<float>.Count; lane++)
        {
            Vector<float> v = Vector.ConditionalSelect(Vector.Equals(Vector<int>.Indices, new Vector<int>(lane)), new Vector<float>(3), new Vector<float>(-5));
            Assert.That(VectorMath.MaxLane(v), Is.EqualTo(3));
        }
    }
}
