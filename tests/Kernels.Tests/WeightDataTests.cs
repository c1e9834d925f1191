namespace LlamaServe.Kernels.Tests;

public sealed class WeightDataTests
{
    private static readonly WeightData Good = new("w", WeightFormat.Int4, 2, 256, 1) { Scales = 1, ZeroPoints = 1, GroupSize = 64 };

    [TestCase(WeightFormat.Int4, 128)]
    [TestCase(WeightFormat.Int8, 256)]
    [TestCase(WeightFormat.Int8Dynamic, 256)]
    [TestCase(WeightFormat.Fp8, 256)]
    public void Elements_take_their_bytes(WeightFormat format, long bytes)
    {
        Assert.That(format.Bytes(256), Is.EqualTo(bytes));
        Assert.That(format.HasSeparateScales());
    }

    [TestCase(0, 1)]
    [TestCase(32, 8)]
    [TestCase(256, 1)]
    public void A_row_has_a_scale_for_each_group(int groupSize, int groups)
    {
        WeightData data = Good with { GroupSize = groupSize };
        Assert.That(() => Check.Data(data), Throws.Nothing);
        Assert.That(data.Groups, Is.EqualTo(groups));
    }

    [Test]
    public void What_has_no_zero_points_may_leave_them_out([Values(WeightFormat.Int4, WeightFormat.Int8)] WeightFormat format) =>
        Assert.That(() => Check.Data(Good with { Format = format, ZeroPoints = 0 }), Throws.Nothing);

    [Test]
    public void Scales_zero_points_and_groups_must_fit_the_format()
    {
        WeightData row = Good with { ZeroPoints = 0, GroupSize = 0 };
        Assert.Multiple(() =>
        {
            Refuses("scales", Good with { Scales = 0 });
            Refuses("no scales", Good with { Format = WeightFormat.F16 });
            Refuses("zero points", row with { Format = WeightFormat.Fp8, ZeroPoints = 1 });
            Refuses("zero points", row with { Format = WeightFormat.Int8Dynamic, ZeroPoints = 1 });
            Refuses("groups of 64", row with { Format = WeightFormat.Fp8, GroupSize = 64 });
            Refuses("groups of 64", row with { Format = WeightFormat.F32, Scales = 0, GroupSize = 64 });
            Refuses("groups of -1", Good with { GroupSize = -1 });
            Refuses("groups of 16", Good with { GroupSize = 16 });
            Refuses("groups of 96", Good with { GroupSize = 96 });
            Refuses("whole blocks of 2", Good with { Columns = 255 });
        });
    }

    [Test]
    public void Vectors_and_tables_have_no_scales_beside_them()
    {
        Assert.That(() => Check.Vector([Good with { Rows = 1 }]), Throws.ArgumentException.With.Message.Contains("vector"));
        Assert.That(() => Check.Table(Good), Throws.ArgumentException.With.Message.Contains("table"));
    }

    private static void Refuses(string what, WeightData data) =>
        Assert.That(() => Check.Data(data), Throws.ArgumentException.With.Message.Contains(what).And.Message.Contains("w is"));
}
