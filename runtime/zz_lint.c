int f(int x)
{
	int *p = 0;
	return *p + x
}
